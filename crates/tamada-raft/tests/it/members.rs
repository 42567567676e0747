//! Coming, going and coming back.

use tamada_raft::{MemberChange, StoreStatus, Trouble, Voter};

use crate::voters::{LIMIT, Voters, done, put, value};

fn refused(answer: Result<String, Trouble>) -> String {
    match answer {
        Err(Trouble::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_store_is_not_founded_before_all_partners_were_heard() {
    let mut voters = Voters::prepared(3);
    voters.start(0);
    voters.start(1);
    voters.warning(0, &format!("waiting for {}", voters.address(2))).await;
    voters.start(2);
    voters.until(0, "the store is founded", |status| status.cluster != 0 && status.warnings.is_empty()).await;
}

#[tokio::test]
async fn a_voter_that_lost_its_disk_comes_back_as_another() {
    let mut voters = Voters::new(3).await;
    done(&voters.client(0), put("a", "1")).await;
    let address = voters.address(2);
    let number = |status: &StoreStatus| {
        status.members.iter().find(|member| member.address == address && member.voter).map(|member| member.node)
    };
    let before = number(&voters.until(0, "all are members", |status| status.members.len() == 3).await);
    voters.stop(2);
    voters.lose_disk(2);
    voters.start(2);
    let is_back =
        |status: &StoreStatus| status.members.len() == 3 && number(status).is_some_and(|node| Some(node) != before);
    voters.until(0, "it votes again, in the place of the one it was", is_back).await;
    voters.stop(1);
    assert_eq!(value(&voters.client(2), "a").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_newcomer_is_invited_copies_and_then_votes() {
    let mut voters = Voters::new(3).await;
    done(&voters.client(0), put("a", "1")).await;
    let new = voters.newcomer();
    let address = voters.address(new);
    voters.start(new);
    voters.warning(new, "store add").await;
    voters.client(0).change(MemberChange::Add { address: address.clone() }, LIMIT).await.expect("it may come");
    let is_copy = |status: &StoreStatus| {
        status.members.iter().any(|member| member.address == address && !member.voter && member.behind == Some(0))
    };
    voters.until(0, "it is a copy", is_copy).await;
    assert_eq!(value(&voters.client(new), "a").await.as_deref(), Some("1"));
    let promote = MemberChange::Promote { address: address.clone() };
    let said = voters.client(1).change(promote, LIMIT).await.expect("it votes");
    assert!(said.contains("4 voters survive"), "{said}");
    voters.until(new, "it votes", |status| status.members.iter().filter(|member| member.voter).count() == 4).await;
}

#[tokio::test]
async fn a_dead_voter_is_removed_by_the_rest() {
    let mut voters = Voters::new(3).await;
    voters.stop(2);
    let address = voters.address(2);
    voters.client(0).change(MemberChange::Remove { address: address.clone() }, LIMIT).await.expect("it goes");
    voters.until(0, "two are left", |status| status.members.len() == 2).await;
    let why = refused(voters.client(0).change(MemberChange::Remove { address }, LIMIT).await);
    assert!(why.contains("no member"), "{why}");
}

#[tokio::test]
async fn the_last_majority_cannot_be_removed() {
    let mut voters = Voters::new(3).await;
    voters.stop(2);
    let silent = voters.address(2);
    let is_silent = |status: &StoreStatus| {
        let member = status.members.iter().find(|member| member.address == silent);
        status.leader.as_ref().is_some_and(|leader| *leader != silent)
            && member.is_some_and(|member| member.heard.is_none_or(|heard| heard.as_secs() >= 2))
    };
    voters.until(0, "one is silent", is_silent).await;
    let remove = MemberChange::Remove { address: voters.address(1) };
    let why = refused(voters.client(0).change(remove, LIMIT).await);
    assert!(why.contains("could not decide") && why.contains(&silent), "{why}");
    let alone = Voters::new(1).await;
    let why = refused(alone.client(0).change(MemberChange::Remove { address: alone.address(0) }, LIMIT).await);
    assert!(why.contains("last voter"), "{why}");
}

#[tokio::test]
async fn a_removed_voter_is_told() {
    let mut voters = Voters::new(3).await;
    let leader = voters.leader(0).await;
    let other = (leader + 1) % 3;
    voters.stop(other);
    let address = voters.address(other);
    voters.client(leader).change(MemberChange::Remove { address }, LIMIT).await.expect("it goes");
    voters.start(other);
    voters.warning(other, "no member").await;
}

/// It hears of nobody any more, and asks.
#[tokio::test]
async fn a_voter_that_is_removed_while_it_runs_is_told_and_serves_through_the_others() {
    let voters = Voters::new(3).await;
    let leader = voters.leader(0).await;
    let other = (leader + 1) % 3;
    let address = voters.address(other);
    voters.client(leader).change(MemberChange::Remove { address }, LIMIT).await.expect("it goes");
    voters.warning(other, "no member").await;
    done(&voters.client(other), put("a", "1")).await;
    assert_eq!(value(&voters.client(other), "a").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn the_leader_may_be_removed_too() {
    let voters = Voters::new(3).await;
    let leader = voters.leader(0).await;
    let address = voters.address(leader);
    let rest = (leader + 1) % 3;
    let remove = MemberChange::Remove { address: address.clone() };
    voters.client(rest).change(remove, LIMIT).await.expect("it goes");
    done(&voters.client(rest), put("a", "1")).await;
    let another_leads = |status: &StoreStatus| {
        status.members.len() == 2 && status.leader.as_ref().is_some_and(|leader| *leader != address)
    };
    voters.until(rest, "another leads", another_leads).await;
}

#[tokio::test]
async fn two_nodes_of_one_address_are_told() {
    let mut voters = Voters::prepared(3);
    let twin = voters.address(0);
    voters.each[1].config.bind_addr = Some(voters.address(1));
    voters.each[1].config.self_addr = twin;
    (0..3).for_each(|place| voters.start(place));
    voters.warning(0, "call themselves").await;
}

#[tokio::test]
async fn nodes_that_mean_different_stores_found_none() {
    let mut voters = Voters::prepared(3);
    voters.each[0].config.partner_addrs = vec![voters.address(1)];
    (0..3).for_each(|place| voters.start(place));
    voters.warning(0, "would found a store of").await;
    assert_eq!(voters.until(0, "it answers", |_| true).await.cluster, 0);
}

#[tokio::test]
async fn a_node_of_another_store_is_refused() {
    let voters = Voters::new(3).await;
    let mut stranger = Voters::new(1).await;
    stranger.stop(0);
    // It was alone, and now means to be the fourth. Its own store still has it as the only voter.
    stranger.each[0].config.partner_addrs = (0..3).map(|place| voters.address(place)).collect();
    stranger.start(0);
    stranger.warning(0, "belongs to the store").await;
}

#[tokio::test]
async fn one_folder_serves_one_node() {
    let mut voters = Voters::prepared(1);
    voters.start(0);
    let mut config = voters.each[0].config.clone();
    config.bind_addr = Some(format!("127.0.0.1:{}", tamada_testing::free_port()));
    let why = Voter::start(config).err().expect("it is in use");
    assert!(why.contains("another process"), "{why}");
}

#[tokio::test]
async fn one_that_is_left_goes_on_alone_when_it_is_told_to() {
    let mut voters = Voters::new(3).await;
    done(&voters.client(0), put("a", "1")).await;
    value(&voters.client(2), "a").await;
    let before = voters.until(2, "it knows the store", |status| status.cluster != 0).await.cluster;
    let running = tamada_raft::recover(&voters.each[2].config.data_dir, &voters.address(2));
    assert!(running.expect_err("it runs").contains("another process"));
    (0..3).for_each(|place| voters.stop(place));
    let folder = voters.each[2].config.data_dir.clone();
    let own = voters.address(2);
    let said = blocking(move || tamada_raft::recover(&folder, &own)).await.expect("it has the store");
    assert!(said.contains(&voters.address(0)) && said.contains("store promote"), "{said}");
    voters.start(2);
    let alone = voters.until(2, "it leads", |status| status.leader.is_some() && status.quorum).await;
    assert_ne!(alone.cluster, before);
    assert_eq!(value(&voters.client(2), "a").await.as_deref(), Some("1"));
    // One of the old store is refused; without its data it may come.
    voters.start(0);
    voters.warning(0, "belongs to the store").await;
    voters.stop(0);
    voters.lose_disk(0);
    voters.start(0);
    let address = voters.address(0);
    let joined = |status: &StoreStatus| status.members.iter().any(|member| member.address == address);
    voters.until(2, "it has joined", joined).await;
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}
