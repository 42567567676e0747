use openraft::testing::{StoreBuilder, Suite};

use super::super::{LogStore, Machine, StorageError, TypeConfig, open};
use crate::disk::Disk;
use crate::disk::testing::Scratch;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, Scratch> for Builder {
    async fn build(&self) -> Result<(Scratch, LogStore, Machine), StorageError> {
        let scratch = Scratch::new();
        let (log, machine) = open(&Disk::open(scratch.path()).unwrap()).unwrap();
        Ok((scratch, log, machine))
    }
}

#[test]
fn the_library_finds_nothing_wrong_with_our_storage() {
    Suite::test_all(Builder).unwrap();
}
