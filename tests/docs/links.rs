//! Links of a page, to files, headings and pictures.

use super::page::{Page, root};
use std::{fs, path::Path};

/// Those that lead nowhere in the repository. Addresses elsewhere are not asked for.
pub fn broken(page: &Page) -> Vec<String> {
    let path = root().join(&page.name);
    let folder = path.parent().expect("a page lies in a folder");
    let mut broken = Vec::new();
    for (line, text) in page.prose() {
        for link in links(text) {
            if !link.contains("://") && !leads(folder, &path, link) {
                broken.push(format!("{}:{line}: {link}", page.name));
            }
        }
    }
    broken
}

/// What stands in `](…)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let behind = line.split("](").skip(1);
    behind.filter_map(|rest| rest.split_once(')').map(|(link, _)| link))
}

fn leads(folder: &Path, page: &Path, link: &str) -> bool {
    let (file, heading) = match link.split_once('#') {
        Some((file, heading)) => (file, Some(heading)),
        None => (link, None),
    };
    let target = match file {
        "" => page.to_owned(),
        file => folder.join(file),
    };
    let has = |heading: &str| {
        let text = fs::read_to_string(&target).expect("a page is text");
        let mut headings = text.lines().filter(|line| line.starts_with('#'));
        headings.any(|line| anchor(line.trim_start_matches('#').trim()) == heading)
    };
    target.exists() && heading.is_none_or(has)
}

/// As GitHub and mdBook name a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let lower = heading.to_lowercase();
    lower
        .chars()
        .filter(kept)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
