//! Whole clusters: the real binary, real PostgreSQL, a real store, processes killed with -9.

/// The same scenes over each store, with so many members.
macro_rules! over_each_store {
    ($($scene:ident: $members:literal,)*) => {
        mod over_etcd {
            $(#[test]
            fn $scene() {
                super::$scene(crate::town::Town::new(crate::store::Kind::Etcd, $members));
            })*
        }

        mod over_the_embedded_store {
            $(#[test]
            fn $scene() {
                super::$scene(crate::town::Town::new(crate::store::Kind::Embedded { witnesses: 0 }, $members));
            })*
        }
    };
}

mod chaos;
mod embedded;
mod everyday;
mod faults;
mod ground;
mod guard;
mod losses;
mod processes;
mod refusals;
mod store;
mod synchronous;
mod town;
mod voters;
mod watchdog;
