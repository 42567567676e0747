//! What differs from run to run, replaced by a word: times, ports, directories, our version.

use tamada_model::Wall;
use tamada_wire::time::Moment;

pub struct Masks {
    pub port: u16,
    pub directory: String,
}

/// A template, what it becomes, and what may follow it. In a template `d` stands for a digit, anything else for itself.
type Template = (&'static str, &'static str, fn(&str) -> bool);

const TEMPLATES: [Template; 4] = [
    ("dddd-dd-dd dd:dd:dd,ddd - ", "{log} - ", |_| true),
    ("dddd-dd-dd dd:dd:dd.ddddd", "{time}", |rest| !rest.starts_with(|c: char| c.is_ascii_digit())),
    ("e.g. dddd-dd-ddTdd:dd", "e.g. {soon}", |_| true),
    ("202d-dd-dd dd:dd:dd", "{clock}", |rest| !rest.starts_with(['.', '+'])),
];

impl Masks {
    pub fn apply(&self, text: &str) -> String {
        let text = text.replace(&self.directory, "{dir}").replace(&self.port.to_string(), "{port}");
        let text = text.replace(concat!("version ", env!("CARGO_PKG_VERSION")), "version {version}");
        let zone = local_zone();
        let text = text.replace(&format!("10:10:00{zone}"), "10:10:00{zone}");
        templates(&text.replace(&format!("10:10:00.500000{zone}"), "10:10:00.500000{zone}"))
    }
}

/// Times without a zone are local; scenes write them at ten past ten in January 2030.
fn local_zone() -> String {
    let january = Wall::from_micros(1_893_492_600_000_000);
    Moment::local(january).iso().split_off("2030-01-01T10:10:00".len())
}

fn templates(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let fitting = TEMPLATES.iter().find(|(template, _, then)| {
            rest.get(..template.len()).is_some_and(|head| fits(template, head) && then(&rest[template.len()..]))
        });
        match fitting {
            Some((template, word, _)) => {
                masked.push_str(word);
                rest = &rest[template.len()..];
            }
            None => {
                masked.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    masked
}

fn fits(template: &str, text: &str) -> bool {
    template.bytes().zip(text.bytes()).all(|(t, c)| if t == b'd' { c.is_ascii_digit() } else { t == c })
}
