//! Did you mean: the known word nearest to one that is not.

/// A word longer than this is no slip of the pen; it is not compared.
const WORD_MAX: usize = 64;

/// The nearest of `known`, if it is near enough to have been meant: a third of the word may differ.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_MAX {
        return None;
    }
    let word: Vec<char> = fold(word).collect();
    known
        .into_iter()
        .map(|candidate| (distance(&word, &fold(candidate).collect::<Vec<_>>()), candidate))
        .filter(|(distance, candidate)| *distance <= (word.len().max(candidate.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `queueId`, `queue-id` and `queue_id` are the same word.
fn fold(word: &str) -> impl Iterator<Item = char> {
    word.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase())
}

/// Insertions, deletions, substitutions, and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, y) in b.iter().enumerate() {
            let change = last[j] + usize::from(x != y);
            row[j + 1] = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        let known = ["event", "reason_id", "queues", "expected_seq"];
        assert_eq!(nearest("evnet", known), Some("event"));
        assert_eq!(nearest("reasonId", known), Some("reason_id"));
        assert_eq!(nearest("queue", known), Some("queues"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"e".repeat(1000), known), None);
        assert_eq!(nearest("", known), None);
    }
}
