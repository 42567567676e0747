//! How nodes talk: connections that know who is at the other end.
