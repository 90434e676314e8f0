//! The documentation, taken at its word: every command of every page is run, in the order of the page, by the program itself;
//! what a page shows as printed is what is printed; every link leads somewhere.

mod commands;
mod links;
mod output;
mod page;
mod table;
mod workplace;

use page::{Page, pages};
use std::sync::Mutex;
use workplace::Workplace;

/// Runs a page's commands from top to bottom, and gives what is wrong.
fn follow(page: &Page) -> Vec<String> {
    let place = Workplace::new();
    let mut wrong = Vec::new();
    for block in &page.blocks {
        if let Some(file) = &block.saved_as {
            place.write(file, &block.text);
        }
        if let Some(file) = &block.changes
            && let Err(why) = place.change(file, &block.text)
        {
            wrong.push(format!("{}:{}: {why}", page.name, block.line));
        }
        for step in commands::steps(block) {
            if let Err(why) = place.run(&page.name, &step) {
                wrong.push(format!(
                    "{}:{}: {}\n{why}",
                    page.name, step.line, step.command
                ));
            }
        }
    }
    wrong
}

#[test]
fn every_command_of_the_documentation_does_what_the_page_says() {
    let pages = pages();
    let waiting = Mutex::new(pages.iter());
    let next = || waiting.lock().expect("no other thread panics").next();
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(page) = next() {
                    let faults = follow(page);
                    wrong.lock().expect("no other thread panics").extend(faults);
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no other thread panics");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn commands_stand_in_blocks_of_shell() {
    let mut seen = 0;
    for page in pages() {
        for block in &page.blocks {
            seen += commands::steps(block).len();
        }
        let stray: Vec<_> = page.stray_commands().collect();
        assert!(stray.is_empty(), "{}: {stray:?}", page.name);
    }
    assert!(seen > 40, "the documentation has {seen} commands");
}

#[test]
fn every_row_of_the_table_is_of_a_command_that_is_there() {
    let mut there = Vec::new();
    for page in pages() {
        let steps = page.blocks.iter().flat_map(commands::steps);
        there.extend(steps.map(|step| (page.name.clone(), step.command)));
    }
    for (page, command, how) in table::ROWS {
        if let table::How::NotHere(why) = how {
            assert!(why.len() > 10, "{command}: {why}");
        }
        let rows = table::ROWS
            .iter()
            .filter(|row| (row.0, row.1) == (*page, *command));
        assert_eq!(rows.count(), 1, "{page}: {command}");
        let is = |one: &(String, String)| one.0 == *page && one.1 == *command;
        assert!(there.iter().any(is), "{page}: {command}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let broken: Vec<String> = pages().iter().flat_map(links::broken).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_page_is_a_chapter_of_the_book() {
    let root = page::root();
    let summary = std::fs::read_to_string(root.join("docs/SUMMARY.md")).expect("it is there");
    for page in pages() {
        if let Some(name) = page.name.strip_prefix("docs/") {
            let listed = summary.contains(&format!("]({name})"));
            assert!(listed || name == "SUMMARY.md", "{name} is no chapter");
        }
    }
}
