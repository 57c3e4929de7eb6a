//! The filter language: what parses, what is said of what does not, and what filters leave.

use crate::model::{
    Confidence, Container, FlowRow, Identity, Mono, Names, Pod, ProcessRow, Protocol, TcpHealth, TcpState,
};
use crate::query::filter::{Comparison, Expr, FIELDS, Field, Filter, Quantity, Subject, Takes, Truth, Value};
use crate::query::fixture::{endpoint, flow, kernel, nobody, process, snapshot};
use crate::query::{self, Format, Notation, Row, Sums, ViewKind, columns};
use ipnet::IpNet;
use proptest::prelude::*;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

fn complaint(text: &str) -> String {
    Filter::parse(text).unwrap_err().sentence()
}

#[test]
fn what_is_printed_reads_as_the_same() {
    for text in [
        "nginx",
        "proc:nginx and not net:10.0.0.0/8 and rate>1M",
        "port:80,443,8000-8999 (user:root or user:0) !lan",
        "10.0.0.5 or 2001:db8::/32 or fe80::1 or \"10.0.0.1\"",
        "/^ng.*x$/ proc:/a\\/b/,c total>=1.5GB rx<800kB/s tx=0",
        "a b or c d or not (e or f)",
        "not not x AND y",
        "a||b&&!c",
        "port:80||(a)||\"b\"&&rate>1",
    ] {
        let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let printed = filter.to_string();
        assert_eq!(Filter::parse(&printed), Ok(filter), "{text} printed as {printed}");
    }
    for spec in &FIELDS {
        let filter = Filter::parse(spec.example).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(filter.to_string(), spec.example);
    }
}

#[test]
fn what_is_wrong_is_said_with_its_character() {
    for (text, said) in [
        ("", "character 1: a word, a field"),
        ("prt:80", "character 1: no field `prt:`; did you mean `port:`?"),
        ("a and", "character 6: a word, a field"),
        ("(a or b", "character 1: this `(` is not closed"),
        ("a)", "character 2: there is no `(`"),
        ("port:99999", "character 6: `99999` is no number up to 65535"),
        ("port:20-10", "character 6: the range 20-10 is empty"),
        ("port:", "character 6: `port:` needs a value"),
        ("rate>fast", "character 6: an amount is expected here"),
        ("foo>1", "character 1: `foo` cannot be compared"),
        ("ü /a(/", "character 3: this regular expression is wrong: unclosed group"),
        ("/usr/bin/x", "character 6: a space is expected here"),
        ("\"abc", "character 1: this quote is not closed"),
        ("proto:tpc", "character 7: no protocol `tpc`"),
        ("state:open", "character 7: no state `open`"),
        ("state:\"open\"", "character 7: no state `open`"),
        ("tcp port 443", "character 5: write `port:443`; libpcap's filter is -f"),
        ("not HOST ::1", "character 5: write `host:::1`"),
        ("a|b", "character 2: say `or`"),
        ("a & b", "character 3: say `or`"),
        ("port:80|", "character 8: say `or`"),
        ("a || ", "character 6: a word, a field"),
        ("a\u{1b}[2J>1", "character 1: `a?[2J` cannot be compared"),
    ] {
        let error = complaint(text);
        assert!(error.starts_with(said), "{text}: {error}");
    }
}

/// A word as somebody may have to write it.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9._-]{0,8}",
        "[ -~]{0,8}",
        "\\PC{0,6}",
        prop::sample::select(vec![
            "",
            "and",
            "OR",
            "not",
            "rate",
            "total",
            "10.0.0.1",
            "::1",
            "fe80::/10",
            "80",
            "1-2",
            "port:80",
            "a=b",
            "\\",
            "\"",
            "/",
            "/x/",
            "!x",
            "&&",
            "||",
            "a,b",
            "(",
            "\u{1b}[2J",
            "\n",
            "tcp",
            "host",
            "established",
            "ü",
        ])
        .prop_map(str::to_owned),
    ]
}

fn regexes() -> impl Strategy<Value = Value> {
    let patterns = vec!["a", "^ng.*x$", "a\\/b", "[^ ]+ (b|c)", "\"", "(?i)x", "\\\\", ",", "ü\\d"];
    prop::sample::select(patterns).prop_map(|pattern| Value::Regex(regex::Regex::new(pattern).unwrap()))
}

fn addresses() -> impl Strategy<Value = Value> {
    let net = (any::<IpAddr>(), 0..=128_u8).prop_map(|(addr, prefix)| {
        let most = if addr.is_ipv4() { 32 } else { 128 };
        Value::Net(IpNet::new(addr, prefix.min(most)).unwrap())
    });
    prop_oneof![any::<IpAddr>().prop_map(Value::Addr), net]
}

fn ranges(most: u64) -> impl Strategy<Value = Value> {
    let number = move || prop_oneof![0..=most, Just(0), Just(most)];
    (number(), number()).prop_map(|(one, other)| Value::Range(one.min(other), one.max(other)))
}

/// A value that can be written after a field.
fn values(field: Field) -> BoxedStrategy<Value> {
    let word = || words().prop_map(|word| Value::Word(word.into()));
    match (field, field.spec().takes) {
        (Field::State, _) => {
            let states: Vec<_> = (1..=11).filter_map(TcpState::from_kernel).map(TcpState::name).collect();
            prop::sample::select(states).prop_map(|name| Value::Word(name.into())).boxed()
        }
        (Field::Protocol, _) => prop::sample::select(vec!["tcp", "UDP", "6", "ip-200", "eth-88b5", "arp"])
            .prop_map(|name| Value::Word(name.into()))
            .boxed(),
        (Field::Pid, _) => ranges(u32::MAX.into()).boxed(),
        (_, Takes::Number) => ranges(u64::MAX).boxed(),
        (_, Takes::Port) => prop_oneof![ranges(u16::MAX.into()), word()].boxed(),
        (_, Takes::Net) => addresses().boxed(),
        (_, Takes::Host) => prop_oneof![addresses(), word(), regexes()].boxed(),
        (_, Takes::Part | Takes::Path | Takes::Whole) => prop_oneof![word(), regexes()].boxed(),
    }
}

/// Any expression that can be written.
fn expressions() -> impl Strategy<Value = Expr> {
    let fields: Vec<Field> = FIELDS.iter().map(|spec| spec.field).collect();
    let is = prop::sample::select(fields).prop_flat_map(|field| {
        proptest::collection::vec(values(field), 1..4).prop_map(move |all| Expr::Is(field, all))
    });
    let word = words().prop_map(|word| Value::Word(word.into()));
    let bare = prop_oneof![word, regexes(), addresses()].prop_map(Expr::Bare);
    let comparisons =
        vec![Comparison::Less, Comparison::AtMost, Comparison::Equal, Comparison::AtLeast, Comparison::More];
    let amounts = prop_oneof![any::<u64>(), (0..1000_u64).prop_map(|n| n * 1_000_000)];
    let amount = (prop::sample::select(Quantity::ALL.to_vec()), prop::sample::select(comparisons), amounts)
        .prop_map(|(quantity, comparison, amount)| Expr::Amount(quantity, comparison, amount));
    prop_oneof![3 => is, 2 => bare, 1 => amount].prop_recursive(6, 40, 4, |inner| {
        let several = || proptest::collection::vec(inner.clone(), 2..4);
        let flat = |parts: Vec<Expr>, is_and: bool| {
            parts.into_iter().flat_map(move |part| match (part, is_and) {
                (Expr::And(parts), true) | (Expr::Or(parts), false) => parts,
                (part, _) => vec![part],
            })
        };
        prop_oneof![
            several().prop_map(move |parts| Expr::And(flat(parts, true).collect())),
            several().prop_map(move |parts| Expr::Or(flat(parts, false).collect())),
            inner.clone().prop_map(|part| Expr::Not(Box::new(part))),
        ]
    })
}

/// Pieces of the language in any order, some of them broken.
fn gibberish() -> impl Strategy<Value = String> {
    let pieces = vec![
        "(",
        ")",
        "!",
        "not ",
        " and ",
        " or ",
        "&&",
        "||",
        ",",
        ":",
        "/",
        "\"",
        "\\",
        "<",
        ">=",
        "=",
        " ",
        "port:",
        "net:",
        "user:",
        "proc:",
        "rate",
        "total",
        "1M",
        "80",
        "-",
        "10.0.0.0/8",
        "::",
        "nginx",
        "[",
        "*",
        "ü",
        "\u{0}",
        "\u{202e}",
        "1.5GiB/s",
        "99999999999999999999",
        "{9999}",
    ];
    proptest::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat())
}

fn is_answered(text: &str) -> Result<(), TestCaseError> {
    match Filter::parse(text) {
        Ok(filter) => prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter)),
        Err(error) => {
            prop_assert!(text.is_char_boundary(error.at()), "{:?} at {}", text, error.at());
            prop_assert!(!error.what().is_empty() && !error.what().contains('\n'), "{}", error.what());
            let shown = error.to_string();
            prop_assert!(!shown.chars().any(|c| c != '\n' && c.is_control()), "{shown:?}");
            let lines: Vec<&str> = shown.lines().collect();
            prop_assert_eq!(lines.len(), 3, "{:?}", shown);
            let caret = UnicodeWidthStr::width(lines[2]);
            prop_assert!(caret <= UnicodeWidthStr::width(lines[1]) + 1, "{shown:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_can_be_said_is_printed_and_read_again(expr in expressions()) {
        let filter = Filter::new(expr);
        let printed = filter.to_string();
        match Filter::parse(&printed) {
            Ok(read) => prop_assert_eq!(read, filter, "{}", printed),
            Err(error) => prop_assert!(printed.len() > 4096, "{error}"),
        }
    }

    #[test]
    fn any_text_is_a_filter_or_one_sentence(text in any::<String>()) {
        is_answered(&text)?;
    }

    #[test]
    fn any_bytes_are_a_filter_or_one_sentence(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        is_answered(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn broken_filters_are_one_sentence(text in gibberish()) {
        is_answered(&text)?;
    }
}

#[test]
fn depth_length_and_size_are_bounded() {
    for (text, said) in [
        ("(".repeat(4000), "parentheses and `not` go 64 deep at most"),
        ("not ".repeat(1000), "parentheses and `not` go 64 deep at most"),
        ("!".repeat(4000), "parentheses and `not` go 64 deep at most"),
        ("x ".repeat(4000), "a filter has 4096 bytes at most"),
        ("/(a{1000}){1000}/".into(), "this regular expression is too large"),
        ("total>99999999999G".into(), "this amount is too large"),
    ] {
        let error = Filter::parse(&text).unwrap_err();
        assert!(error.what().contains(said), "{error}");
    }
    let wide = vec!["a"; 1000].join("||");
    let Ok(Expr::Or(parts)) = Filter::parse(&wide).map(|filter| filter.expr().clone()) else {
        panic!("{wide}")
    };
    assert_eq!(parts.len(), 1000, "a long filter is no deep one");
}

/// A process of which everything is known, a flow of it, and what its ends are called.
fn known() -> (ProcessRow, FlowRow, Names) {
    let identity = Arc::new(Identity {
        cmdline: Some("nginx: worker --quiet".into()),
        user: Some("www-data".into()),
        cgroup: Some("/system.slice/nginx.service".into()),
        unit: Some("nginx.service".into()),
        slice: Some("system.slice".into()),
        container: Some(Arc::new(Container {
            claimed_by: None,
            runtime: "docker",
            id: "f00d".into(),
            name: Some("Web".into()),
        })),
        pod: Some(Arc::new(Pod {
            uid: "1234-5678".into(),
            name: Some("cart".into()),
            namespace: Some("shop".into()),
        })),
        package: Some("nginx-light".into()),
        ..Identity::default()
    });
    let owner =
        ProcessRow { identity: Arc::clone(&identity), uid: Some(33), ..process(2817, "nginx", 8_000, 2_000) };
    let made = flow(1, &owner, endpoint("10.0.0.5", 443), endpoint("2001:db8::7", 52_211));
    let tcp = TcpHealth {
        state: TcpState::CloseWait,
        srtt: Duration::from_millis(1),
        cwnd: 10,
        retransmits: 0,
        acked_bytes: 1,
        received_bytes: 1,
    };
    let row = FlowRow { tcp: Some(tcp), identity, ..made };
    let names = Names {
        hosts: [(row.id.remote.addr, "peer.Example.org".into())].into(),
        services: Arc::new([((Protocol::TCP, 443), "https".into())].into()),
    };
    (owner, row, names)
}

/// What a filter says of a process, and of its flow.
fn verdict(text: &str, process: &ProcessRow, flow: &FlowRow, names: &Names) -> (Truth, Truth) {
    let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let of = |flow| {
        filter.judge(&Subject {
            process: Some(process),
            flow,
            names,
            amounts: Some(Sums::of_process(process)),
        })
    };
    (of(None), of(Some(flow)))
}

/// E11: a path begins as a regular expression does.
#[test]
fn a_path_is_no_regular_expression_where_paths_are_compared() {
    let (process, flow, names) = known();
    for (text, truth) in [
        ("exe:/usr/sbin", Truth::Yes),
        ("exe:/usr/sbin/nginx", Truth::Yes),
        ("exe:/sbin,/bin/worker", Truth::Yes),
        ("exe:/us+r/", Truth::Yes),
        ("exe:/^(ng|usr)/", Truth::No),
        ("cgroup:/system.slice/nginx.service", Truth::Yes),
        ("cgroup:/user.slice", Truth::No),
    ] {
        assert_eq!(verdict(text, &process, &flow, &names).1, truth, "{text}");
    }
    for wrong in ["exe:/[/", "exe:/", "proc:/usr/sbin"] {
        assert!(Filter::parse(wrong).is_err(), "{wrong}");
    }
}

/// E6: the list said closed, and the filter found none.
#[test]
fn a_flow_of_a_closed_socket_is_closed_whatever_was_sampled_last() {
    let (process, open, names) = known();
    let closed = FlowRow { closed: Some(Mono(1)), ..open.clone() };
    let mut datagrams = FlowRow { tcp: None, ..closed.clone() };
    datagrams.id.protocol = Protocol::UDP;
    let columns = columns(ViewKind::Flows);
    let column = columns.iter().find(|column| column.id == query::Field::State).unwrap();
    let nothing = snapshot(vec![], vec![]);
    let format = Format::new(Notation::default(), &nothing);
    for (row, is_closed) in [(&open, false), (&closed, true), (&datagrams, true)] {
        let state = if is_closed { "closed" } else { "close-wait" };
        assert_eq!(column.cell(Row::Flow(row), &format), state);
        assert_eq!(query::Field::State.value(Row::Flow(row), &nothing), query::Value::Text(state));
        let says = |text| verdict(text, &process, row, &names).1 == Truth::Yes;
        assert_eq!((says("state:closed"), says("state:close-wait")), (is_closed, !is_closed));
    }
}

#[test]
fn every_field_compares_what_its_line_says() {
    let (process, flow, names) = known();
    let of_process = [
        (Field::Proc, "NGIN,/^nginx$/,/usr/,worker\\ --q", "ngix,/^worker$/"),
        (Field::Pid, "2817,-2817,2817-,2000-3000", "2816,2818-,-99"),
        (Field::User, "WWW-data,33,/^www/", "www,3,/^data/"),
        (Field::Unit, "nginx.service,NGINX,/[.]service$/", "nginx.socket,/^service/"),
        (Field::Slice, "system,/slice/", "user.slice"),
        (Field::Container, "web,f00d,/^f0+d$/", "db,/^00/"),
        (Field::Pod, "cart,shop/cart,1234-5678,/^shop./", "card,/^cart/"),
        (Field::Package, "nginx,nginx-light", "nginx-full"),
        (Field::Comm, "NGIN,/^nginx$/", "worker,/usr/"),
        (Field::Exe, "/usr/sbin,NGINX,/nginx$/", "worker,/^nginx/"),
        (Field::CommandLine, "quiet,worker\\ --q", "/usr/lib,/^quiet/"),
        (Field::Cgroup, "system.slice,/nginx/", "user.slice"),
    ];
    let of_flow = [
        (
            Field::Host,
            "10.0.0.5,10.0.0.0/8,2001:db8::/32,example,/org$/,10.0.",
            "10.0.0.6,11.0.0.0/8,/^Example/",
        ),
        (Field::Local, "10.0.0.5,10.0.0.0/24", "2001:db8::7,example"),
        (Field::Remote, "2001:db8::7,peer,2001:db8::/64", "10.0.0.5,10.0.0.0/24"),
        (Field::Net, "10.0.0.0/8,2001:db8::7,0.0.0.0/0", "192.168.0.0/16,2001:db9::/32"),
        (Field::Port, "443,52211,HTTPS,1-443,52211-,-443", "80,http,444-52210"),
        (Field::LocalPort, "443,https", "52211"),
        (Field::RemotePort, "52211", "443,https"),
        (Field::Protocol, "tcp,TCP,6,/^t/", "udp,17,/^c/"),
        (Field::State, "close-wait,CLOSE-WAIT,/wait/", "established,/^wait/"),
        (Field::Interface, "eth0,ETH0,/eth/", "eth,lo"),
        (Field::Netns, "4026531840,4000000000-", "1"),
    ];
    assert_eq!(of_process.len() + of_flow.len(), FIELDS.len());
    for (is_of_flow, (field, hits, misses)) in
        of_process.into_iter().map(|row| (false, row)).chain(of_flow.into_iter().map(|row| (true, row)))
    {
        let name = field.spec().name;
        let alone = |known| if is_of_flow { Truth::Depends } else { known };
        for (values, known) in [(hits, Truth::Yes), (misses, Truth::No)] {
            for value in values.split(',').map(|value| value.replace("\\ ", " ")) {
                let text = if value.contains(' ') {
                    format!("{name}:\"{value}\"")
                } else {
                    format!("{name}:{value}")
                };
                assert_eq!(verdict(&text, &process, &flow, &names), (alone(known), known), "{text}");
                let opposite = format!("not {text}");
                assert_eq!(
                    verdict(&opposite, &process, &flow, &names),
                    (alone(!known), !known),
                    "{opposite}"
                );
            }
            assert_eq!(
                verdict(&format!("{name}:{}", values.split(',').next().unwrap()), &process, &flow, &names).1,
                known
            );
        }
        let list =
            format!("{name}:{},{}", misses.split(',').next().unwrap(), hits.split(',').next().unwrap());
        assert_eq!(verdict(&list, &process, &flow, &names).1, Truth::Yes, "{list}");
    }
}

#[test]
fn bare_words_are_parts_of_names_hosts_and_addresses() {
    let (process, flow, names) = known();
    for (text, alone, with_flow) in [
        ("Nginx", Truth::Yes, Truth::Yes),
        ("/^NGINX$/", Truth::Depends, Truth::No),
        ("/(?i)^NGINX$/", Truth::Yes, Truth::Yes),
        ("quiet", Truth::Yes, Truth::Yes),
        ("example.org", Truth::Depends, Truth::Yes),
        ("0.0.5", Truth::Depends, Truth::Yes),
        ("10.0.0.5", Truth::Depends, Truth::Yes),
        ("10.0.0.50", Truth::Depends, Truth::No),
        ("10.0.0.0/29", Truth::Depends, Truth::Yes),
        ("2001:DB8::7", Truth::Depends, Truth::Yes),
        ("elsewhere", Truth::Depends, Truth::No),
        ("rate", Truth::Depends, Truth::No),
    ] {
        assert_eq!(verdict(text, &process, &flow, &names), (alone, with_flow), "{text}");
    }
    let flows = |owner: &ProcessRow| FlowRow {
        process: "".into(),
        ..self::flow(2, owner, flow.id.local, flow.id.remote)
    };
    for owner in [kernel(1, 1), nobody(Confidence::Unknown, 1, 1), nobody(Confidence::Pending, 1, 1)] {
        let name = owner.process.to_string();
        assert_eq!(verdict(&name, &owner, &flows(&owner), &names), (Truth::Yes, Truth::Yes), "{name}");
        assert_eq!(verdict("user:root", &owner, &flows(&owner), &names).0, Truth::No, "{name}");
    }
}

#[test]
fn amounts_have_units_of_bits_and_bytes() {
    let limit = |text: &str| match Filter::parse(text).unwrap_or_else(|error| panic!("{error}")).expr() {
        Expr::Amount(_, _, amount) => *amount,
        other @ (Expr::And(_) | Expr::Or(_) | Expr::Not(_) | Expr::Bare(_) | Expr::Is(..) | Expr::Of(..)) => {
            panic!("{other:?}")
        }
    };
    for (text, amount) in [
        ("rate>1M", 1_000_000),
        ("rate > 1 ", 1),
        ("rate>=1.5kb/s", 1500),
        ("rx<100kB", 800_000),
        ("tx=1KiB/s", 8192),
        ("rate>2Mi", 2 << 20),
        ("total>1.5GB", 1_500_000_000),
        ("total>8kb", 1000),
        ("total<=1TiB", 1 << 40),
        ("total>0.0005k", 0),
    ] {
        assert_eq!(limit(text), amount, "{text}");
    }
    let (process, flow, names) = known();
    // 8000 in, 2000 out.
    for (text, known) in [
        ("not (rate>10k nginx)", Truth::Yes),
        ("rate>=10k or zzz", Truth::Yes),
        ("rx=8k or zzz", Truth::Yes),
        ("rx<8k or tx>2k or zzz", Truth::No),
        ("tx<=2k or zzz", Truth::Yes),
    ] {
        assert_eq!(verdict(text, &process, &flow, &names).1, known, "{text}");
    }
}

#[test]
fn the_page_has_every_field_and_its_examples_can_be_read() {
    let page = include_str!("../../../../docs/filter.md");
    for spec in &FIELDS {
        let takes = match spec.takes {
            Takes::Part => "a part, or a regular expression",
            Takes::Path => "a part of a path, or a regular expression",
            Takes::Whole => "the whole, or a regular expression",
            Takes::Number => "a number or a range",
            Takes::Port => "a number, a range, or the name of a service",
            Takes::Host => "an address, a network, a part of a name, or a regular expression",
            Takes::Net => "an address or a network",
        };
        let line = format!("| `{}:` | {} | {takes} | `{}` |", spec.name, spec.meaning, spec.example);
        assert!(page.lines().any(|there| there == line), "docs/filter.md lacks {line}");
    }
    let examples: Vec<&str> = page
        .lines()
        .filter_map(|line| line.split_once("--filter '")?.1.split_once('\''))
        .map(|(example, _)| example)
        .collect();
    assert!(examples.len() > 2);
    for example in examples {
        assert!(Filter::parse(example).is_ok() || example.starts_with("prt:"), "{example}");
    }
    let error = Filter::parse("prt:80 or nginx").unwrap_err().to_string();
    assert!(page.contains(&error), "docs/filter.md shows another complaint than {error}");
}
