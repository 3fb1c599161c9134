//! Did you mean: the known word nearest to one that is not.

/// The nearest of `known`, if no more than a third of it differs.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let fold = |text: &str| -> Vec<char> {
        text.chars().filter(|c| !"_-".contains(*c)).map(|c| c.to_ascii_lowercase()).collect()
    };
    let word = fold(word);
    known
        .iter()
        .map(|candidate| (distance(&word, &fold(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= (word.len().max(candidate.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions and substitutions (Levenshtein).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, y) in b.iter().enumerate() {
            let change = last[j] + usize::from(x != y);
            row[j + 1] = change.min(last[j + 1] + 1).min(row[j] + 1);
        }
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        let known = ["listen", "data", "dev_key", "heartbeat_ms"];
        assert_eq!(nearest("lisen", &known), Some("listen"));
        assert_eq!(nearest("dev-key", &known), Some("dev_key"));
        assert_eq!(nearest("heartbeatMs", &known), Some("heartbeat_ms"));
        assert_eq!(nearest("colour", &known), None);
    }
}
