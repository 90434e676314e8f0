//! The frame of a page: head, style, sections, data, script.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

/// Of every page.
const STYLE: &str = include_str!("style.css");

/// What a page is called and made of.
pub struct Page<'a> {
    pub title: &'a str,
    /// One sentence below the title.
    pub doc: &'a str,
    /// What made it, at its end.
    pub foot: String,
    pub sections: Vec<Section>,
    /// JSON for the script.
    pub data: String,
    pub script: &'static str,
}

/// A part of a page that its navigation leads to.
pub struct Section {
    /// `kernels`
    pub id: &'static str,
    pub title: &'static str,
    /// How to read it.
    pub lead: Markup,
    pub body: Markup,
}

impl Page<'_> {
    /// The whole document.
    pub fn render(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · mimc" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header {
                        h1 { (self.title) }
                        p.doc { (self.doc) }
                        nav aria-label="Sections" {
                            @for section in &self.sections {
                                a href={ "#" (section.id) } { (section.title) }
                            }
                        }
                    }
                    main id="content" {
                        @for section in &self.sections { (section.draw()) }
                    }
                    footer { (self.foot) }
                    script type="application/json" id="data" { (PreEscaped(&self.data)) }
                    script { (PreEscaped(self.script)) }
                }
            }
        };
        page.into_string()
    }
}

impl Section {
    fn draw(&self) -> Markup {
        let heading = format!("{}-heading", self.id);
        html! {
            section id=(self.id) aria-labelledby=(heading) {
                h2 id=(heading) { (self.title) }
                div.lead { (self.lead) }
                (self.body)
            }
        }
    }
}

/// A number that is seen first.
pub struct Tile {
    pub name: &'static str,
    pub value: String,
    /// What stands below it.
    pub note: String,
}

/// Tiles side by side; those without a value are left out.
pub fn tiles(tiles: &[Tile]) -> Markup {
    html! {
        dl.tiles {
            @for tile in tiles.iter().filter(|tile| !tile.value.is_empty()) {
                div.tile {
                    dt { (tile.name) }
                    dd.value { (tile.value) }
                    dd.note { (tile.note) }
                }
            }
        }
    }
}

/// Names with what they stand for.
pub fn facts(facts: &[(String, String)]) -> Markup {
    html! {
        dl.facts {
            @for (name, fact) in facts {
                dt { (name) }
                dd { (fact) }
            }
        }
    }
}

/// JSON that can stand inside a `script`: nothing in it ends the element.
pub fn json(data: &impl Serialize) -> String {
    let text = serde_json::to_string(data).expect("what pages hold has texts for keys");
    text.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_end_its_element() {
        let hostile = "</script><script>alert(1)</script><!--";
        let text = json(&[hostile]);
        assert!(!text.contains('<'));
        let back: Vec<String> = serde_json::from_str(&text).expect("still JSON");
        assert_eq!(back, [hostile]);
    }
}
