use super::*;

#[tokio::test]
async fn jobs_share_one_thread_which_survives_a_panic() {
    let writer = Writer::start().unwrap();
    let first = writer.call(|_| thread::current().id()).await.unwrap();
    let broken = writer.call(|_| panic!("a fault")).await;
    assert!(broken.is_err_and(|setback: Setback| setback.to_string().contains("please report")));
    let last = writer.clone().call(|_| thread::current().id()).await.unwrap();
    assert_eq!(first, last);
    assert_ne!(first, thread::current().id());
}
