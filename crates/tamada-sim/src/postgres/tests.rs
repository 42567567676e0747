//! What the model claims of PostgreSQL, rule by rule.
