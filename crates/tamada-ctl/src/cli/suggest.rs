//! "Did you mean …?"
//!
//! Likeness of two words is twice the number of letters in their common runs, divided by the letters of both: find the
//! longest common run, then look left and right of it (Ratcliff and Obershelp). What reaches 0.6 is offered.

const LIKE_ENOUGH: f64 = 0.6;
const OFFERED_MAX: usize = 3;

/// ` Did you mean 'list'?` or ` (Did you mean one of: 'restart', 'resume'?)`, or nothing.
pub fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let offered = closest(word, known);
    match offered.as_slice() {
        [] => String::new(),
        [only] => format!(" Did you mean '{only}'?"),
        several => {
            let quoted: Vec<String> = several.iter().map(|word| format!("'{word}'")).collect();
            format!(" (Did you mean one of: {}?)", quoted.join(", "))
        }
    }
}

fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word: Vec<char> = word.chars().collect();
    let scored =
        known.into_iter().map(|candidate| (likeness(&candidate.chars().collect::<Vec<_>>(), &word), candidate));
    let mut scored: Vec<(f64, &str)> = scored.filter(|(score, _)| *score >= LIKE_ENOUGH).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(a.1)));
    scored.truncate(OFFERED_MAX);
    let mut words: Vec<&str> = scored.into_iter().map(|(_, candidate)| candidate).collect();
    words.sort_unstable();
    words
}

fn likeness(a: &[char], b: &[char]) -> f64 {
    let letters = a.len() + b.len();
    if letters == 0 { 1.0 } else { 2.0 * common(a, b) as f64 / letters as f64 }
}

/// Letters in common runs.
fn common(a: &[char], b: &[char]) -> usize {
    let (start_a, start_b, length) = longest_run(a, b);
    if length == 0 {
        return 0;
    }
    length + common(&a[..start_a], &b[..start_b]) + common(&a[start_a + length..], &b[start_b + length..])
}

/// Start in `a`, start in `b`, length; of several the first.
fn longest_run(a: &[char], b: &[char]) -> (usize, usize, usize) {
    let mut best = (0, 0, 0);
    for i in 0..a.len() {
        for j in 0..b.len() {
            let length = a[i..].iter().zip(&b[j..]).take_while(|(x, y)| x == y).count();
            if length > best.2 {
                best = (i, j, length);
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_look_alike_are_offered() {
        let options = ["--group", "--format", "--force", "--help", "--wait"];
        assert_eq!(suggestion("--wai", options), " Did you mean '--wait'?");
        assert_eq!(suggestion("--forc", ["--format", "--help"]), " Did you mean '--format'?");
        assert_eq!(suggestion("res", ["restart", "resume", "list"]), " (Did you mean one of: 'restart', 'resume'?)");
        assert_eq!(suggestion("--p", options), " (Did you mean one of: '--group', '--help'?)");
        assert_eq!(suggestion("--bogus", options), "");
    }
}
