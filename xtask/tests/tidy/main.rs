//! Rules of this project that no compiler and no lint knows: who may import whom, what the pure modules may not touch,
//! what may not stand in any tracked file, and what a commit says. Each rule is a function from text to complaints, and each
//! has a test that feeds it something bad.

mod cases;
mod circles;
mod commits;
mod files;
mod imports;
mod map;
mod promises;
mod purity;
mod text;
mod threads;
mod tokens;

use files::File;
use std::io::Write as _;

fn complaints(rule: impl Fn(&File) -> Vec<String>) -> Vec<String> {
    files::tracked()
        .iter()
        .flat_map(|file| rule(file).into_iter().map(move |why| format!("{}: {why}", file.path)))
        .collect()
}

fn holds(rule: impl Fn(&File) -> Vec<String>) {
    let complaints = complaints(rule);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn modules_import_only_what_they_may() {
    holds(imports::check);
}

#[test]
fn modules_side_by_side_import_each_other_in_one_direction() {
    let complaints = circles::check(&files::tracked());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn threads_are_started_in_one_place() {
    holds(threads::check);
}

#[test]
fn the_middle_is_pure() {
    holds(purity::check);
}

#[test]
fn every_source_file_says_what_it_is() {
    holds(text::opens_with_prose);
}

#[test]
fn every_case_has_the_test_that_its_page_names() {
    let complaints = cases::check(&files::tracked());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_code_map_is_sorted_and_complete() {
    let complaints = map::check(&files::tracked());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_promise_has_the_test_that_it_names() {
    let complaints = promises::check(&files::tracked());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn commits_say_what_in_a_line_and_why_below_it() {
    let complaints = commits::check(&commits::here());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// No failure: what a file is too long for is a question, and the answer is beside its name.
#[test]
fn long_source_files_are_named() {
    for warning in complaints(text::is_long) {
        // Past the capture of passing tests.
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
}

#[test]
fn what_is_left_to_do_has_an_issue() {
    holds(text::has_no_loose_ends);
}

#[test]
fn no_file_knows_where_it_was_built() {
    holds(text::names_no_machine);
}

#[test]
fn crates_come_from_the_registry_that_everyone_has() {
    holds(text::names_no_registry);
}
