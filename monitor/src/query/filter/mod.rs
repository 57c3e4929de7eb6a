//! The filter language: `proc:nginx and not net:10.0.0.0/8 and rate>1M`.
//!
//! What can be written is in docs/filter.md; [`FIELDS`] and [`Quantity::ALL`] are the tables behind it. A filter judges
//! processes and flows. Amounts that stand by themselves or are joined to the rest by `and` judge whole rows of the view
//! instead (`rate>1M` among hosts: hosts above 1 Mb/s).

mod eval;
mod member;
mod parse;
mod print;

pub(crate) use eval::{Subject, Truth};
pub(crate) use parse::FilterError;

use crate::query::{Measure, Prefixes, RowId};
use ipnet::IpNet;
use regex::Regex;
use std::net::IpAddr;

/// What a value of a field can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// A word that is found anywhere in the name, ignoring case; or a regular expression.
    Part,
    /// The same of a path: what begins with a slash and does not end with one is a word, too.
    Path,
    /// A word that is the whole name, ignoring case; or a regular expression.
    Whole,
    /// A number or a range.
    Number,
    /// A number, a range, or the name of a service.
    Port,
    /// An address, a network, a part of a host's name, or a regular expression.
    Host,
    /// An address or a network.
    Net,
}

/// What stands before a colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    Proc,
    Pid,
    User,
    Unit,
    Slice,
    Container,
    Pod,
    Package,
    Host,
    Local,
    Remote,
    Net,
    Port,
    LocalPort,
    RemotePort,
    Protocol,
    State,
    Interface,
    Netns,
    Comm,
    Exe,
    CommandLine,
    Cgroup,
}

/// One line of the table of fields.
#[derive(Debug)]
pub(crate) struct FieldSpec {
    /// The field.
    pub field: Field,
    /// What is written before the colon.
    pub name: &'static str,
    /// What is written after it.
    pub takes: Takes,
    /// What it is compared with.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test makes the table of docs/filter.md of it"))]
    pub meaning: &'static str,
    /// An example.
    pub example: &'static str,
}

const fn spec(
    field: Field,
    name: &'static str,
    takes: Takes,
    meaning: &'static str,
    example: &'static str,
) -> FieldSpec {
    FieldSpec { field, name, takes, meaning, example }
}

/// Every field, in the order of [`Field`].
pub(crate) static FIELDS: [FieldSpec; 23] = [
    spec(Field::Proc, "proc", Takes::Part, "name, executable or command line of the process", "proc:nginx"),
    spec(Field::Pid, "pid", Takes::Number, "process id", "pid:2817"),
    spec(Field::User, "user", Takes::Whole, "login name or uid of the process", "user:www-data"),
    spec(Field::Unit, "unit", Takes::Part, "systemd unit", "unit:nginx.service"),
    spec(Field::Slice, "slice", Takes::Part, "systemd slice", "slice:user.slice"),
    spec(Field::Container, "container", Takes::Part, "name or id of the container", "container:db"),
    spec(Field::Pod, "pod", Takes::Part, "namespace/name or UID of the pod", "pod:shop/cart"),
    spec(Field::Package, "pkg", Takes::Part, "package that owns the executable", "pkg:postgresql-15"),
    spec(Field::Host, "host", Takes::Host, "either end's address or name", "host:example.org"),
    spec(Field::Local, "local", Takes::Host, "this host's end", "local:10.0.0.5"),
    spec(Field::Remote, "remote", Takes::Host, "the other end", "remote:192.0.2.0/24"),
    spec(Field::Net, "net", Takes::Net, "network of either end", "net:10.0.0.0/8"),
    spec(Field::Port, "port", Takes::Port, "either end's port", "port:80,443,8000-8999"),
    spec(Field::LocalPort, "lport", Takes::Port, "this host's port", "lport:22"),
    spec(Field::RemotePort, "rport", Takes::Port, "the other end's port", "rport:443"),
    spec(Field::Protocol, "proto", Takes::Whole, "protocol, by name or number", "proto:udp"),
    spec(
        Field::State,
        "state",
        Takes::Whole,
        "state of the TCP connection; closed: any closed socket",
        "state:established",
    ),
    spec(Field::Interface, "iface", Takes::Whole, "interface", "iface:eth0"),
    spec(Field::Netns, "netns", Takes::Number, "cookie of the network namespace", "netns:1"),
    spec(Field::Comm, "comm", Takes::Part, "name of the process", "comm:python3"),
    spec(Field::Exe, "exe", Takes::Path, "path of the executable", "exe:sbin/nginx"),
    spec(Field::CommandLine, "cmd", Takes::Path, "command line", "cmd:manage.py"),
    spec(Field::Cgroup, "cgroup", Takes::Path, "path of the cgroup", "cgroup:user.slice"),
];

impl Field {
    /// Its line of the table.
    pub(crate) fn spec(self) -> &'static FieldSpec {
        &FIELDS[self as usize]
    }
}

/// What is compared with an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Quantity {
    /// Both directions, average of 2 s, bits/s.
    Rate,
    /// Received, average of 2 s, bits/s.
    Rx,
    /// Sent, average of 2 s, bits/s.
    Tx,
    /// Both directions since start, bytes.
    Total,
}

impl Quantity {
    /// All.
    pub(crate) const ALL: [Self; 4] = [Self::Rate, Self::Rx, Self::Tx, Self::Total];

    /// What is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Rx => "rx",
            Self::Tx => "tx",
            Self::Total => "total",
        }
    }

    /// What it is measured in.
    pub(super) fn measure(self) -> Measure {
        match self {
            Self::Rate | Self::Rx | Self::Tx => Measure::BitRate,
            Self::Total => Measure::Bytes,
        }
    }
}

/// How amounts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

/// What a name, an address or a number is compared with.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A word.
    Word(Box<str>),
    /// A regular expression, found anywhere.
    Regex(Regex),
    /// An address.
    Addr(IpAddr),
    /// A network.
    Net(IpNet),
    /// A number or a range, both ends included.
    Range(u64, u64),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Word(one), Self::Word(other)) => one == other,
            (Self::Regex(one), Self::Regex(other)) => one.as_str() == other.as_str(),
            (Self::Addr(one), Self::Addr(other)) => one == other,
            (Self::Net(one), Self::Net(other)) => one == other,
            (Self::Range(one, to), Self::Range(other, end)) => (one, to) == (other, end),
            (Self::Word(_) | Self::Regex(_) | Self::Addr(_) | Self::Net(_) | Self::Range(..), _) => false,
        }
    }
}

/// What a filter says. `and` and `or` join two at least, and neither is directly within its own kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    /// All of them.
    And(Vec<Expr>),
    /// One of them at least.
    Or(Vec<Expr>),
    /// The opposite.
    Not(Box<Expr>),
    /// A bare word: a part of a name of the process, or of a host, or of an address.
    Bare(Value),
    /// One of the values.
    Is(Field, Vec<Value>),
    /// Part of a row, as [`crate::query::Row::id`] has it. It cannot be written: a screen that opens rows makes it.
    Of(RowId, Prefixes),
    /// An amount, in bits/s or bytes.
    Amount(Quantity, Comparison, u64),
}

/// A filter, ready to be used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter {
    expr: Expr,
    /// What processes and flows have to be.
    parts: Vec<Expr>,
    /// What rows of a view have to have moved.
    rows: Vec<Expr>,
}

impl Filter {
    /// From what was written.
    ///
    /// # Errors
    /// Says what is wrong and at which character.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        parse::parse(text).map(Self::new)
    }

    /// From an expression.
    pub(crate) fn new(expr: Expr) -> Self {
        let all = match &expr {
            Expr::And(all) => all.clone(),
            one @ (Expr::Or(_)
            | Expr::Not(_)
            | Expr::Bare(_)
            | Expr::Is(..)
            | Expr::Of(..)
            | Expr::Amount(..)) => {
                vec![one.clone()]
            }
        };
        let (rows, parts) = all.into_iter().partition(Expr::is_of_amounts);
        Self { expr, parts, rows }
    }

    /// What it says.
    pub(crate) fn expr(&self) -> &Expr {
        &self.expr
    }
}

impl Expr {
    /// It judges nothing but amounts.
    fn is_of_amounts(&self) -> bool {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().all(Self::is_of_amounts),
            Self::Not(one) => one.is_of_amounts(),
            Self::Amount(..) => true,
            Self::Bare(_) | Self::Is(..) | Self::Of(..) => false,
        }
    }
}
