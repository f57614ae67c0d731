//! What is kept of an answer, and what it counts.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;

use super::*;
use crate::access::Principal;
use crate::tenants::Tenants;

const PRESENT: Present = Present { now: Timestamp::UNIX_EPOCH, tenants: 1, figures: 0 };

fn answers(bytes_at_most: u64) -> Answers {
    Answers::new(bytes_at_most, AnswerMetrics::default())
}

fn key(request: &str) -> AnswerKey {
    let view = View::new(Principal::anybody(), Tenants::default().current());
    Answers::key(&view, 0, 0, Bytes::copy_from_slice(request.as_bytes()))
}

fn put(answers: &Answers, request: &str, length: usize) -> Finished {
    answers.put(key(request), &Bytes::from(vec![b'a'; length]), &Dependencies::default(), PRESENT).unwrap()
}

/// A form that is half as long.
async fn half(body: Bytes) -> Result<Bytes, Infallible> {
    Ok(Bytes::from(vec![b'b'; body.len() / 2]))
}

fn bytes(answers: &Answers) -> u64 {
    answers.finished.run_pending_tasks();
    answers.bytes()
}

#[tokio::test]
async fn an_answer_is_encoded_once_however_many_want_it_at_the_same_time() {
    let answers = answers(1 << 20);
    let finished = put(&answers, "a", 4000);
    let made = AtomicUsize::new(0);
    let encode = async || {
        let encode = async |body| {
            made.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            half(body).await
        };
        answers.encoded(&finished, 1, encode).await.unwrap()
    };
    for form in join_all((0..20).map(|_| encode())).await {
        assert_eq!(form, vec![b'b'; 2000]);
    }
    let found = answers.get(&key("a"), PRESENT).unwrap();
    let again = answers.encoded(&found, 1, async |_| unreachable!() as Result<Bytes, Infallible>).await.unwrap();
    assert_eq!((again.len(), made.into_inner(), answers.metrics.encodings.get()), (2000, 1, 1));
}

#[tokio::test]
async fn a_failure_to_encode_is_told_and_the_next_one_tries_again() {
    let answers = answers(1 << 20);
    let finished = put(&answers, "a", 4000);
    let before = bytes(&answers);
    assert_eq!(answers.encoded(&finished, 0, async |_| Err("memory")).await, Err("memory"));
    assert_eq!((bytes(&answers), answers.metrics.encodings.get()), (before, 0));
    assert_eq!(answers.encoded(&finished, 0, half).await.unwrap().len(), 2000);
}

#[tokio::test]
async fn encoded_forms_count_while_their_answer_is_kept_and_no_longer() {
    let answers = answers(1 << 20);
    let finished = put(&answers, "a", 4000);
    let bare = bytes(&answers);
    assert!((4301..4400).contains(&bare), "{bare}");
    answers.encoded(&finished, 0, half).await.unwrap();
    answers.encoded(&finished, 2, half).await.unwrap();
    assert!((bare + 4000..bare + 4400).contains(&bytes(&answers)), "{} {bare}", bytes(&answers));

    // Another answer takes its place. What is encoded of the former one afterwards is sent, but not kept.
    put(&answers, "a", 4000);
    assert_eq!(bytes(&answers), bare);
    assert_eq!(answers.encoded(&finished, 1, half).await.unwrap().len(), 2000);
    assert_eq!(bytes(&answers), bare);
    assert!(!answers.get(&key("a"), PRESENT).unwrap().is(&finished));
}

#[tokio::test]
async fn answers_and_their_encoded_forms_stay_within_the_bound_together() {
    let bound = 100_000;
    let answers = answers(bound);
    let mut kept = Vec::new();
    for number in 0..15 {
        kept.push(put(&answers, &number.to_string(), 5000));
    }
    assert!((75_000..=bound).contains(&bytes(&answers)), "all fit bare: {}", bytes(&answers));
    for finished in &kept {
        for encoding in 0..ENCODINGS {
            answers.encoded(finished, encoding, half).await.unwrap();
            assert!(bytes(&answers) <= bound, "{}", bytes(&answers));
        }
    }
    let left = (0..15).filter(|number| answers.get(&key(&number.to_string()), PRESENT).is_some()).count();
    assert!((5..=8).contains(&left), "of 12 800 bytes each: {left}");
}
