//! Which of several containers a name stands for.

/// How a name matches a container, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// The name is a prefix of the id, and long enough.
    Prefix,
    /// The name is the id.
    Id,
    /// The name is one of the container's names.
    Name,
}

impl Fit {
    /// How `asked` matches a container, if at all.
    pub(crate) fn of(asked: &str, id: &str, names: &[String]) -> Option<Fit> {
        const SHORTEST_PREFIX: usize = 4;
        let could_be_prefix = asked.len() >= SHORTEST_PREFIX && asked.bytes().all(|byte| byte.is_ascii_hexdigit());
        if names.iter().any(|name| name == asked) {
            Some(Fit::Name)
        } else if id == asked {
            Some(Fit::Id)
        } else if could_be_prefix && id.starts_with(asked) {
            Some(Fit::Prefix)
        } else {
            None
        }
    }
}

/// The best matches: a container named `cafe` wins over one whose id begins with that.
pub(crate) fn best<T>(found: Vec<(Fit, T)>) -> Vec<T> {
    let best = found.iter().map(|(fit, _)| *fit).max();
    found.into_iter().filter(|(fit, _)| Some(*fit) == best).map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_wins_over_an_id_and_an_id_over_a_prefix() {
        let names = ["cafe".to_owned()];
        assert_eq!(Fit::of("cafe", "0123", &names), Some(Fit::Name));
        assert_eq!(Fit::of("cafe", "cafe", &[]), Some(Fit::Id));
        assert_eq!(Fit::of("cafe", "cafe01", &[]), Some(Fit::Prefix));
        assert_eq!(best(vec![(Fit::Prefix, 1), (Fit::Name, 2), (Fit::Prefix, 3)]), [2]);
        assert_eq!(best(vec![(Fit::Prefix, 1), (Fit::Prefix, 3)]), [1, 3]);
    }

    #[test]
    fn a_prefix_is_hexadecimal_and_not_too_short() {
        assert_eq!(Fit::of("caf", "cafe01", &[]), None);
        assert_eq!(Fit::of("webs", "webserver", &[]), None);
    }
}
