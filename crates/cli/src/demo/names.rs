//! People, as a board shows them.

const FIRST: [&str; 40] = [
    "Ada", "Amir", "Anna", "Bao", "Bruno", "Carla", "Chen", "Clara", "Daniel", "Dara", "Elena", "Emil",
    "Fatima", "Femi", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jamal", "Jana", "Kofi", "Lara", "Leo",
    "Lucia", "Malik", "Maria", "Mei", "Nadia", "Noah", "Olga", "Omar", "Priya", "Rafael", "Rosa", "Samir",
    "Sofia", "Tomas", "Yuki", "Zoe",
];

const LAST: [&str; 31] = [
    "Adeyemi", "Almeida", "Andersen", "Baker", "Bauer", "Costa", "Diaz", "Dubois", "Eriksen", "Fischer",
    "Garcia", "Haddad", "Horvat", "Ito", "Jensen", "Kaya", "Khan", "Kim", "Kowalski", "Laurent", "Lopez",
    "Marino", "Mensah", "Nguyen", "Novak", "Okafor", "Patel", "Rossi", "Santos", "Tanaka", "Weber",
];

/// 40 and 31 have no divisor in common, so the first 1240 people have names of their own.
pub fn name(index: usize) -> String {
    format!("{} {}", FIRST[index % FIRST.len()], LAST[index % LAST.len()])
}

/// A caller's number out of those set aside for fiction (+44 7700 900000 to 900999, Ofcom).
pub fn caller(number: usize) -> String {
    format!("+447700900{:03}", number % 1000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{caller, name};

    #[test]
    fn nobody_shares_a_name() {
        let names: BTreeSet<String> = (0..200).map(name).collect();
        assert_eq!(names.len(), 200);
        assert_eq!(caller(7), "+447700900007");
    }
}
