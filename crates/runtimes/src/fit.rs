//! Which of several containers a name means.

/// How a name leads to a container, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// It is the beginning of the id, long enough to be meant as one.
    Prefix,
    /// It is the id.
    Id,
    /// It is a name.
    Name,
}

impl Fit {
    /// How `asked` fits a container, if it does.
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

/// Those that fit best: a container called `cafe` wins over one whose id begins so.
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
