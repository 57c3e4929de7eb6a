//! What a filter says of a process, a flow or a row.
//!
//! Of a process alone a question about its flows has no answer ([`Truth::Depends`]); `and`, `or` and `not` carry that
//! on as far as it matters.

use super::{Comparison, Expr, Field, Filter, Quantity, Value};
use crate::model::{Endpoint, FlowRow, Identity, Names, ProcessRow};
use crate::query::Window;
use crate::query::group::Sums;
use std::net::IpAddr;

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    /// Whatever else there is.
    Yes,
    /// Whatever else there is.
    No,
    /// On the flow, or on an amount.
    Depends,
}

impl From<bool> for Truth {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl std::ops::Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Depends => Self::Depends,
        }
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'s> {
    /// The process, where its row is known.
    pub process: Option<&'s ProcessRow>,
    /// One of its flows; `None` to judge the process alone.
    pub flow: Option<&'s FlowRow>,
    /// What addresses and ports are called.
    pub names: &'s Names,
    /// What amounts are compared with; `None` where that is not known.
    pub amounts: Option<Sums>,
}

impl Filter {
    /// What it says of a process or a flow, but for what it says of whole rows.
    pub(crate) fn judge(&self, subject: &Subject<'_>) -> Truth {
        all(self.parts.iter().map(|part| part.judge(subject)))
    }

    /// What it says of a whole row of a view.
    pub(crate) fn admits(&self, sums: &Sums) -> bool {
        self.rows.iter().all(|row| row.admits(sums))
    }
}

fn all(truths: impl Iterator<Item = Truth>) -> Truth {
    let mut all = Truth::Yes;
    for truth in truths {
        match truth {
            Truth::No => return Truth::No,
            Truth::Depends => all = Truth::Depends,
            Truth::Yes => {}
        }
    }
    all
}

impl Expr {
    fn judge(&self, subject: &Subject<'_>) -> Truth {
        match self {
            Self::And(parts) => all(parts.iter().map(|part| part.judge(subject))),
            Self::Or(parts) => !all(parts.iter().map(|part| !part.judge(subject))),
            Self::Not(part) => !part.judge(subject),
            Self::Bare(value) => subject.bare(value),
            Self::Is(field, values) => subject.is(*field, values),
            Self::Of(row, prefixes) => subject.is_part_of_row(row, *prefixes),
            Self::Amount(quantity, comparison, amount) => match &subject.amounts {
                Some(sums) => comparison.holds(quantity.of(sums), *amount).into(),
                None => Truth::Depends,
            },
        }
    }

    /// Only for expressions of amounts.
    fn admits(&self, sums: &Sums) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.admits(sums)),
            Self::Or(parts) => parts.iter().any(|part| part.admits(sums)),
            Self::Not(part) => !part.admits(sums),
            Self::Amount(quantity, comparison, amount) => comparison.holds(quantity.of(sums), *amount),
            Self::Bare(_) | Self::Is(..) | Self::Of(..) => true,
        }
    }
}

impl Quantity {
    fn of(self, sums: &Sums) -> u64 {
        let now = Window::Two.index();
        let (rx, tx) = (sums.windows.rx[now], sums.windows.tx[now]);
        match self {
            Self::Rate => rx.saturating_add(tx),
            Self::Rx => rx,
            Self::Tx => tx,
            Self::Total => sums.total.rx_bytes.saturating_add(sums.total.tx_bytes),
        }
    }
}

impl Comparison {
    fn holds(self, amount: u64, limit: u64) -> bool {
        match self {
            Self::Less => amount < limit,
            Self::AtMost => amount <= limit,
            Self::Equal => amount == limit,
            Self::AtLeast => amount >= limit,
            Self::More => amount > limit,
        }
    }
}

impl Subject<'_> {
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.process.map(|row| &*row.identity).or(self.flow.map(|row| &*row.identity))
    }

    fn bare(&self, value: &Value) -> Truth {
        if self.is_process(value) {
            return Truth::Yes;
        }
        let either = |flow: &FlowRow| {
            self.is_host(flow.id.local_end(), value) || self.is_host(flow.id.remote_end(), value)
        };
        self.flow.map_or(Truth::Depends, |flow| either(flow).into())
    }

    fn is(&self, field: Field, values: &[Value]) -> Truth {
        if let Some(known) = self.of_process(field, values) {
            return known.into();
        }
        self.flow
            .map_or(Truth::Depends, |flow| values.iter().any(|value| self.of_flow(flow, field, value)).into())
    }

    /// The answer of a field of the process; `None` for a field of the flow.
    fn of_process(&self, field: Field, values: &[Value]) -> Option<bool> {
        let any = |is: &dyn Fn(&Value) -> bool| Some(values.iter().any(is));
        let identity = self.identity();
        let part = |name: Option<&str>| any(&|value| name.is_some_and(|name| value.is_part_of(name)));
        match field {
            Field::Proc => any(&|value| self.is_process(value)),
            Field::Comm => part(self.comm()),
            Field::Exe => part(self.exe()),
            Field::CommandLine => part(identity.and_then(|identity| identity.cmdline.as_deref())),
            Field::Cgroup => part(identity.and_then(|identity| identity.cgroup.as_deref())),
            Field::Pid => any(&|value| self.pid().is_some_and(|pid| value.holds(pid.into()))),
            Field::User => {
                let uid = match (self.process, self.flow) {
                    (Some(process), _) if process.id.is_some() => process.uid,
                    (_, flow) => flow.and_then(|flow| flow.uid),
                };
                let uid = uid.map(|uid| uid.to_string());
                let name = identity.and_then(|identity| identity.user.as_deref());
                any(&|value| [name, uid.as_deref()].into_iter().flatten().any(|name| value.is_whole(name)))
            }
            Field::Unit => part(identity.and_then(|identity| identity.unit.as_deref())),
            Field::Slice => part(identity.and_then(|identity| identity.slice.as_deref())),
            Field::Package => part(identity.and_then(|identity| identity.package.as_deref())),
            Field::Container => any(&|value| {
                let container = identity.and_then(|identity| identity.container.as_deref());
                container.is_some_and(|container| {
                    container.name.as_deref().is_some_and(|name| value.is_part_of(name))
                        || value.is_part_of(&container.id)
                })
            }),
            Field::Pod => any(&|value| {
                let pod = identity.and_then(|identity| identity.pod.as_deref());
                pod.is_some_and(|pod| {
                    let name = pod.name.as_deref().unwrap_or_default();
                    let namespace = pod.namespace.as_deref().unwrap_or_default();
                    value.is_part_of(&format!("{namespace}/{name}")) || value.is_part_of(&pod.uid)
                })
            }),
            Field::Host
            | Field::Local
            | Field::Remote
            | Field::Net
            | Field::Port
            | Field::LocalPort
            | Field::RemotePort
            | Field::Protocol
            | Field::State
            | Field::Interface
            | Field::Netns => None,
        }
    }

    fn pid(&self) -> Option<u32> {
        let process = self.process.and_then(|row| row.id);
        process.or(self.flow.and_then(|row| row.attribution.owner)).map(|id| id.pid)
    }

    /// A part of its name, its executable or its command line.
    fn is_process(&self, value: &Value) -> bool {
        let command = self.identity().and_then(|identity| identity.cmdline.as_deref());
        [self.comm(), self.exe(), command].into_iter().flatten().any(|name| value.is_part_of(name))
    }

    fn comm(&self) -> Option<&str> {
        self.process.map(|row| &*row.process).or(self.flow.map(|row| &*row.process))
    }

    fn exe(&self) -> Option<&str> {
        self.process.and_then(|row| row.exe.as_deref())
    }

    fn of_flow(&self, flow: &FlowRow, field: Field, value: &Value) -> bool {
        let id = &flow.id;
        let (local, remote) = (id.local_end(), id.remote_end());
        let port = |end: Option<Endpoint>| {
            end.and_then(|end| end.port).is_some_and(|port| match value {
                Value::Word(name) => {
                    let service = self.names.service(id.protocol, port);
                    service.is_some_and(|service| service.eq_ignore_ascii_case(name))
                }
                Value::Range(..) | Value::Regex(_) | Value::Addr(_) | Value::Net(_) => {
                    value.holds(port.into())
                }
            })
        };
        match field {
            Field::Host | Field::Net => self.is_host(local, value) || self.is_host(remote, value),
            Field::Local => self.is_host(local, value),
            Field::Remote => self.is_host(remote, value),
            Field::Port => port(local) || port(remote),
            Field::LocalPort => port(local),
            Field::RemotePort => port(remote),
            Field::Protocol => {
                value.is_whole(&id.protocol.to_string()) || value.is_whole(&id.protocol.number().to_string())
            }
            Field::State => flow.state().is_some_and(|state| value.is_whole(state.name())),
            Field::Interface => value.is_whole(&flow.interface),
            Field::Netns => id.netns != 0 && value.holds(id.netns),
            // These are asked of the process.
            Field::Proc
            | Field::Comm
            | Field::Exe
            | Field::CommandLine
            | Field::Cgroup
            | Field::Pid
            | Field::User
            | Field::Unit
            | Field::Slice
            | Field::Container
            | Field::Pod
            | Field::Package => false,
        }
    }

    fn is_host(&self, end: Option<Endpoint>, value: &Value) -> bool {
        let Some(end) = end else { return false };
        let addr: IpAddr = end.addr.to_canonical();
        match value {
            Value::Addr(wanted) => addr == wanted.to_canonical(),
            Value::Net(net) => net.contains(&addr) || net.contains(&end.addr),
            Value::Range(..) => false,
            Value::Word(_) | Value::Regex(_) => {
                self.names.host(end.addr).is_some_and(|name| value.is_part_of(name))
                    || value.is_part_of(&addr.to_string())
            }
        }
    }
}

impl Value {
    /// Words ignore case as far as ASCII goes; regular expressions are as written.
    fn is_part_of(&self, name: &str) -> bool {
        match self {
            Self::Word(word) => {
                let (name, word) = (name.as_bytes(), word.as_bytes());
                word.is_empty() || name.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
            }
            Self::Regex(regex) => regex.is_match(name),
            Self::Addr(_) | Self::Net(_) | Self::Range(..) => false,
        }
    }

    fn is_whole(&self, name: &str) -> bool {
        match self {
            Self::Word(word) => word.eq_ignore_ascii_case(name),
            Self::Regex(_) | Self::Addr(_) | Self::Net(_) | Self::Range(..) => self.is_part_of(name),
        }
    }

    fn holds(&self, number: u64) -> bool {
        matches!(self, Self::Range(from, to) if (*from..=*to).contains(&number))
    }
}
