//! Datagrams to the socket that sends them.

use super::*;

#[test]
fn what_a_socket_sends_itself_comes_within_the_send() {
    let _one = alone();
    let before = violations();
    set_completion(Completion::Inline);
    for family in [af::INET, af::INET6] {
        let client = Client::new();
        let (a_rx, b_rx) = (Receiver::default(), Receiver::default());
        let (a, a_at) = opened(&client, family, &a_rx);
        let (b, b_at) = opened(&client, family, &b_rx);
        assert_eq!(a.events(EVENT_RECEIVE_FROM), status::SUCCESS);
        assert_eq!(b.events(EVENT_RECEIVE_FROM), status::SUCCESS);
        let own = std::thread::current().id();
        for n in 1..=100 {
            assert_eq!(a.send(&mut [n; 10], &a_at, &[]), (status::SUCCESS, 10));
            assert_eq!(a_rx.got.lock().expect("lock").len(), usize::from(n), "before the send returns");
        }
        assert!(a_rx.threads.lock().expect("lock").iter().all(|&t| t == own));
        assert!(
            a_rx.got.lock().expect("lock").iter().enumerate().all(|(i, (bytes, ..))| usize::from(bytes[0]) == i + 1)
        );
        // Another's come on the thread that receives, and still do where its own came before.
        assert_eq!(a.send(&mut [1; 10], &b_at, &[]), (status::SUCCESS, 10));
        assert_eq!(b.send(&mut [101; 10], &a_at, &[]), (status::SUCCESS, 10));
        wait_for("datagrams", || {
            b_rx.got.lock().expect("lock").len() == 1 && a_rx.got.lock().expect("lock").len() == 101
        });
        assert!(b_rx.threads.lock().expect("lock").iter().all(|&t| t != own));
        assert_ne!(a_rx.threads.lock().expect("lock").last(), Some(&own));
        a.close();
        b.close();
        client.end();
    }
    set_completion(Completion::Alternate);
    assert_eq!(violations(), before);
}
