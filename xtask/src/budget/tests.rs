//! The table, what exceeds it, and what must hold of every fast path.

use super::*;

fn committed() -> Budget {
    measured(&Project::find().unwrap()).unwrap()
}

fn cost(instructions: usize, helpers: &[u32], atomics: usize) -> Cost {
    Cost { instructions, helpers: helpers.to_vec(), atomics }
}

fn budget(name: &str, cost: Cost) -> Budget {
    Budget(BTreeMap::from([(name.to_owned(), cost)]))
}

#[test]
fn the_committed_object_costs_what_its_table_allows() {
    check(&Project::find().unwrap()).unwrap();
}

#[test]
fn a_budget_survives_being_written() {
    let budget = committed();
    assert_eq!(Budget::read(&budget.to_string()).unwrap(), budget);
    assert!(Budget::read("| `egress` | many | 2 | 1 |").is_err());
}

#[test]
fn whatever_grows_is_told() {
    let allowed = budget("egress", cost(10, &[1, 46], 2));
    let beyond = |now| budget("egress", now).beyond(&allowed);
    assert!(beyond(cost(10, &[1, 46], 2)).is_empty());
    assert!(beyond(cost(9, &[46], 1)).is_empty());
    assert_eq!(beyond(cost(11, &[1, 46], 2)), ["egress: 11 instructions and not 10"]);
    assert_eq!(beyond(cost(10, &[1, 93], 2)), ["egress: helper 93"]);
    assert_eq!(beyond(cost(10, &[1, 1, 46], 2)), ["egress: 3 calls of helpers and not 2"]);
    assert_eq!(beyond(cost(10, &[1, 46], 3)), ["egress: 3 atomic additions and not 2"]);
    assert_eq!(
        budget("new", cost(1, &[], 0)).beyond(&allowed),
        ["new: not in the table", "egress: in the table and not in the object"]
    );
}

/// Stream parsers read in softirq, where the current process is anybody.
#[test]
fn a_read_while_no_process_holds_the_socket_claims_nothing() {
    let bytes = std::fs::read(Project::find().unwrap().object()).unwrap();
    let object = Object::read(&bytes).unwrap();
    assert!(paths::claims_by_reading(&object, true).unwrap());
    assert!(!paths::claims_by_reading(&object, false).unwrap());
}

/// A packet costs two additions, and nothing on its way takes a lock that other sockets share: a row that is there is not
/// put there again.
#[test]
fn a_fast_path_adds_twice_and_updates_no_map() {
    const MAP_UPDATE: u32 = 2;
    const MAP_DELETE: u32 = 3;
    const SPIN_LOCK: u32 = 93;
    let budget = committed();
    for (name, cost) in budget.0.iter().filter(|(name, _)| name.contains(':')) {
        let at_packet_hook = name.starts_with("egress") || name.starts_with("ingress");
        assert_eq!(cost.atomics, if at_packet_hook { 2 } else { 0 }, "{name}");
        for lock in [MAP_UPDATE, MAP_DELETE, SPIN_LOCK] {
            assert!(!cost.helpers.contains(&lock), "{name} calls {:?}", cost.helpers);
        }
    }
}
