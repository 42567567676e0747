//! The query of a request: `lag=1MB&tag_dc=x`.

use tamada_model::units;
use tamada_wire::url::decoded;

/// Parameters in the order given; of repeated ones the first, and none without a value (rest-api.md 3.2).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: Option<&str>) -> Self {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (key, value) in text.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
            let key = decoded(key);
            if !value.is_empty() && parameters.iter().all(|(known, _)| *known != key) {
                parameters.push((key, decoded(value)));
            }
        }
        Self(parameters)
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Bytes, with or without a unit; `None` if absent or unparsable.
    pub fn bytes(&self, key: &str) -> Option<i64> {
        units::integer(self.get(key)?, Some("B"))
    }

    /// `tag_<key>=<value>`
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(key, value)| Some((key.strip_prefix("tag_")?, value.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_counts_and_an_empty_one_does_not() {
        let query = Query::parse(Some("lag=16MB&lag=1&tag_a=&tag_b=x%20y&tag_b=z&flag&mode=write"));
        assert_eq!(query.bytes("lag"), Some(16 * 1024 * 1024));
        assert_eq!(query.tags().collect::<Vec<_>>(), [("b", "x y")]);
        assert_eq!(query.get("mode"), Some("write"));
        assert_eq!(query.get("flag"), None);
        assert_eq!(Query::parse(Some("lag=many")).bytes("lag"), None);
        assert_eq!(Query::parse(None), Query::default());
    }
}
