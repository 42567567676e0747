//! Somebody in the middle lays hands on messages. Nothing of it is believed, the connection ends, and the next one is
//! good again.

use tamada_raft::link::CallError;

use super::node::{ECHO, LONG, Node, hello, number, password, peer};
use super::proxy::{Direction, Proxy, Trick};

/// What the questions that were hit are told.
async fn played(direction: Direction, trick: Trick) -> Vec<String> {
    let security = password("secret");
    let node = Node::start(&security).await;
    let proxy = Proxy::to(node.address).await;
    let peer = peer(proxy.address, &security);
    assert_eq!(peer.call(ECHO, hello(), LONG).await, Ok(hello()));
    proxy.play(direction, trick);
    let mut lost = Vec::new();
    // What was kept back or said twice shows with a later question, or with none.
    for n in 0.. {
        match peer.call(ECHO, number(n), LONG).await {
            Ok(answer) if proxy.connections() == 2 => {
                assert_eq!(answer, number(n));
                break;
            }
            Ok(answer) => assert_eq!(answer, number(n)),
            Err(CallError::Lost(why)) => lost.push(why),
            Err(other) => panic!("{other:?}"),
        }
    }
    lost
}

#[tokio::test]
async fn what_was_altered_is_not_believed() {
    assert_eq!(played(Direction::Up, Trick::Alter).await.len(), 1);
    let lost = played(Direction::Down, Trick::Alter).await;
    assert!(matches!(&lost[..], [why] if why.contains("its seal does not open")), "{lost:?}");
}

#[tokio::test]
async fn what_is_repeated_ends_the_connection() {
    for direction in [Direction::Up, Direction::Down] {
        assert!(played(direction, Trick::Repeat).await.len() <= 1);
    }
}

#[tokio::test]
async fn what_is_missing_is_noticed() {
    for direction in [Direction::Up, Direction::Down] {
        assert_eq!(played(direction, Trick::Drop).await.len(), 1);
    }
}

#[tokio::test]
async fn what_comes_in_another_order_is_noticed() {
    for direction in [Direction::Up, Direction::Down] {
        assert_eq!(played(direction, Trick::Swap).await.len(), 1);
    }
}

#[tokio::test]
async fn our_own_words_are_not_taken_for_an_answer() {
    for direction in [Direction::Up, Direction::Down] {
        assert_eq!(played(direction, Trick::Reflect).await.len(), 1);
    }
}

#[tokio::test]
async fn half_a_message_is_none() {
    assert_eq!(played(Direction::Up, Trick::Cut).await.len(), 1);
    let lost = played(Direction::Down, Trick::Cut).await;
    assert!(matches!(&lost[..], [why] if why.contains("in the middle of a message")), "{lost:?}");
}
