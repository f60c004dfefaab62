//! A lease from T1 to its end, over restarts, and what takes it away.

use crate::lan::{Lan, identity};
use crate::server::{Mood, Server};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;
use zubi_dhcp::options::code;
use zubi_dhcp::{Client, Event, Moment, Start, State};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);

/// A lan that just got a lease of 60 s, with T1 at 30 s and T2 at 52.5 s.
fn lan() -> Lan {
    Lan::with_lease([Server::new(1)])
}

fn silence(lan: &mut Lan) {
    for server in &mut lan.servers {
        server.mood = Mood::Silent;
    }
}

#[test]
fn at_t1_the_server_is_asked_and_time_counts_from_the_question() {
    let mut lan = lan();
    lan.pass_seconds(95);
    assert_eq!(lan.moments("renew"), [30_010, 60_010, 90_010]);
    let twice = ["renew 10.0.0.10 at 10.0.0.1", "bound 10.0.0.10/24 of 10.0.0.1"].repeat(3);
    assert_eq!(lan.take_lines(), twice);
    assert_eq!(lan.client.lease().unwrap().obtained_at, Moment(1_090_010));
    let xids: BTreeSet<u32> = lan.sent.iter().map(|message| message.xid.0).collect();
    assert_eq!(xids.len(), 4, "the first exchange has two messages, each renewal is its own");
}

#[test]
fn a_server_that_is_down_at_t1_is_asked_again() {
    let mut lan = lan();
    lan.pass_seconds(29);
    silence(&mut lan);
    lan.pass_seconds(5);
    assert_eq!(lan.client.state(), State::Renewing);
    lan.servers[0].mood = Mood::Gives;
    lan.pass_seconds(10);
    // Half of the time from T1 (30.01) to T2 (52.51).
    assert_eq!(lan.moments("renew"), [30_010, 41_260]);
    assert_eq!(lan.take_lines().last().unwrap(), "bound 10.0.0.10/24 of 10.0.0.1");
    assert_eq!(lan.client.lease().unwrap().obtained_at, Moment(1_041_260), "from the try that was answered");
}

#[test]
fn at_t2_every_server_is_asked() {
    let mut lan = lan();
    silence(&mut lan);
    lan.pass_seconds(53);
    assert_eq!(lan.client.state(), State::Rebinding);
    assert_eq!(lan.moments("rebind"), [52_510]);
    // Another server with the same records.
    let mut other = Server::new(2);
    other.leases = lan.servers[0].leases.clone();
    lan.servers.push(other);
    lan.pass_seconds(5);
    assert_eq!(lan.take_lines().last().unwrap(), "bound 10.0.0.10/24 of 10.0.0.2");
    lan.pass_seconds(30);
    assert_eq!(lan.take_lines()[0], "renew 10.0.0.10 at 10.0.0.2");
}

#[test]
fn a_lease_that_nobody_renews_is_lost_on_time_and_the_address_asked_for_until_it_is_back() {
    let mut lan = lan();
    silence(&mut lan);
    lan.pass_seconds(600);
    assert_eq!(lan.moments("lost"), [60_010]);
    assert_eq!(lan.moments("failed"), [0; 0]);
    assert_eq!(lan.client.state(), State::Selecting);
    let tries = lan.moments("discover, best 10.0.0.10");
    assert_eq!(tries[0], 60_010);
    assert!(tries.len() > 10 && tries.windows(2).all(|pair| pair[1] - pair[0] <= 80_000), "{tries:?}");
    lan.servers[0].mood = Mood::Gives;
    lan.pass_seconds(80);
    let lines = lan.take_lines();
    assert!(lines.contains(&"lost: no DHCP server renewed it in time".to_owned()), "{lines:?}");
    assert!(lines.contains(&"bound 10.0.0.10/24 of 10.0.0.1".to_owned()), "{lines:?}");
}

#[test]
fn a_refusal_to_renew_takes_the_address_away_at_once() {
    let mut lan = lan();
    lan.pass_seconds(29);
    lan.servers[0].mood = Mood::Refuses;
    lan.pass(Duration::from_millis(925));
    let lines = lan.take_lines();
    assert_eq!(lines, ["renew 10.0.0.10 at 10.0.0.1", "lost: DHCP server 10.0.0.1 refuses: not here", "discover"]);
    lan.servers[0].mood = Mood::Gives;
    lan.servers[0].leases.clear();
    lan.servers[0].declined.insert(ADDRESS);
    lan.pass_seconds(5);
    assert_eq!(lan.take_lines().last().unwrap(), "bound 10.0.0.11/24 of 10.0.0.1");
}

#[test]
fn a_server_that_keeps_refusing_a_client_that_had_a_lease_is_asked_for_ever() {
    let mut lan = lan();
    lan.servers[0].mood = Mood::Refuses;
    lan.pass_seconds(3600);
    assert_eq!(lan.moments("failed"), [0; 0]);
    let rounds = lan.moments("discover").len();
    assert!((50..80).contains(&rounds), "{rounds}");
}

#[test]
fn any_server_may_refuse_to_rebind() {
    let mut lan = lan();
    silence(&mut lan);
    lan.pass_seconds(52);
    lan.servers.push(Server { mood: Mood::Refuses, ..Server::new(2) });
    lan.take_lines();
    lan.pass_seconds(1);
    let lines = lan.take_lines();
    assert_eq!(lines[..2], ["rebind 10.0.0.10", "lost: DHCP server 10.0.0.2 refuses: not here"]);
}

#[test]
fn a_stranger_cannot_refuse_or_confirm_a_renewal() {
    for mood in [Mood::Refuses, Mood::Gives] {
        let mut lan = lan();
        silence(&mut lan);
        lan.pass_seconds(31);
        assert_eq!(lan.client.state(), State::Renewing);
        let mut stranger = Server { mood, ..Server::new(2) };
        stranger.leases = lan.servers[0].leases.clone();
        let answer = stranger.answer(lan.sent.last().unwrap()).unwrap();
        lan.tell(Event::Received(&answer.encode()));
        assert_eq!(lan.client.state(), State::Renewing, "{mood:?}");
    }
}

#[test]
fn an_answer_to_an_earlier_try_comes_too_late() {
    let mut lan = lan();
    silence(&mut lan);
    lan.pass_seconds(45);
    let [.., earlier, latest] = &lan.sent[..] else { panic!() };
    assert_ne!(earlier.xid, latest.xid);
    lan.servers[0].mood = Mood::Gives;
    let (earlier, latest) = (lan.servers[0].answer(earlier).unwrap(), lan.servers[0].answer(latest).unwrap());
    lan.tell(Event::Received(&earlier.encode()));
    assert_eq!(lan.client.state(), State::Renewing);
    lan.tell(Event::Received(&latest.encode()));
    assert_eq!(lan.client.state(), State::Bound);
}

#[test]
fn a_renewal_can_bring_another_address_and_other_options() {
    let mut lan = lan();
    lan.pass_seconds(29);
    silence(&mut lan);
    lan.pass_seconds(2);
    lan.servers[0].mood = Mood::Gives;
    lan.servers[0].options = lan.servers[0].options.clone().with(code::DNS_SERVERS, &[9, 9, 9, 9]);
    let mut answer = lan.servers[0].answer(lan.sent.last().unwrap()).unwrap();
    answer.yours = Ipv4Addr::new(10, 0, 0, 77);
    lan.tell(Event::Received(&answer.encode()));
    let lease = lan.client.lease().unwrap();
    assert_eq!((lease.address.to_string().as_str(), &lease.dns_servers[..]), ("10.0.0.77/24", &[[9; 4].into()][..]));
    assert_eq!(lan.take_lines().last().unwrap(), "bound 10.0.0.77/24 of 10.0.0.1");
}

#[test]
fn the_times_of_the_server_are_kept() {
    let mut server = Server::new(1);
    server.options = server.options.clone().with(code::RENEWAL_TIME, &[0, 0, 0, 5]);
    server.options = server.options.with(code::REBINDING_TIME, &[0, 0, 0, 9]);
    let mut lan = Lan::with_lease([server]);
    silence(&mut lan);
    lan.pass_seconds(59);
    assert_eq!(lan.moments("renew")[0], 5010);
    assert_eq!(lan.moments("rebind")[0], 9010);
    lan.pass_seconds(2);
    assert_eq!(lan.moments("lost"), [60_010]);
}

#[test]
fn a_lease_for_ever_is_never_renewed() {
    let mut lan = Lan::with_lease([Server { seconds: u32::MAX, ..Server::new(1) }]);
    assert_eq!(lan.client.wake_at(), None);
    lan.pass_seconds(1 << 33);
    assert_eq!(lan.take_lines(), [""; 0]);
    assert_eq!(lan.client.state(), State::Bound);
    lan.tell(Event::Release);
    assert_eq!(lan.take_lines(), ["release 10.0.0.10 of 10.0.0.1"]);
}

#[test]
fn a_lease_of_one_second_is_kept() {
    let mut lan = Lan::with_lease([Server { seconds: 1, ..Server::new(1) }]);
    lan.pass_seconds(60);
    assert_eq!(lan.moments("lost"), [0; 0]);
    assert!((110..=120).contains(&lan.moments("renew").len()));
}

#[test]
fn a_caller_that_is_late_goes_on_where_the_time_is() {
    let mut late = lan();
    late.sleep(Duration::from_secs(55));
    late.tell(Event::Woken);
    assert_eq!((late.client.state(), late.take_lines()), (State::Rebinding, vec!["rebind 10.0.0.10".to_owned()]));
    let mut too_late = lan();
    too_late.sleep(Duration::from_secs(3600));
    too_late.tell(Event::Woken);
    let lines = ["lost: no DHCP server renewed it in time", "discover, best 10.0.0.10"];
    assert_eq!((too_late.client.state(), too_late.take_lines()), (State::Selecting, lines.map(str::to_owned).to_vec()));
}

#[test]
fn a_restarted_program_goes_on_with_the_lease() {
    let mut lan = lan();
    let lease = lan.client.lease().unwrap().clone();
    let another = |lan: &mut Lan| lan.client = Client::new(identity("web"), Some(Client::PATIENCE), 7);
    another(&mut lan);
    lan.start(Start::Resume(lease.clone()));
    assert_eq!((lan.client.state(), lan.client.wake_at()), (State::Bound, lease.renew_at()));
    lan.pass_seconds(31);
    assert_eq!(lan.take_lines(), ["renew 10.0.0.10 at 10.0.0.1", "bound 10.0.0.10/24 of 10.0.0.1"]);
    another(&mut lan);
    lan.sleep(Duration::from_secs(120));
    lan.start(Start::Resume(lease));
    assert_eq!(lan.take_lines(), ["lost: no DHCP server renewed it in time", "discover, best 10.0.0.10"]);
}

#[test]
fn after_a_reboot_the_former_address_is_asked_for_and_confirmed() {
    let mut lan = lan();
    lan.client = Client::new(identity("web"), Some(Client::PATIENCE), 7);
    lan.start(Start::Again(ADDRESS));
    assert_eq!(lan.client.state(), State::Rebooting);
    lan.pass_seconds(5);
    assert_eq!(lan.take_lines(), ["again 10.0.0.10", "bound 10.0.0.10/24 of 10.0.0.1"]);
}

#[test]
fn a_former_address_that_a_server_refuses_is_not_asked_for_again() {
    let mut lan = lan();
    lan.start(Start::Again(Ipv4Addr::new(10, 9, 9, 9)));
    lan.pass_seconds(1);
    let wanted = ["again 10.9.9.9", "discover", "take 10.0.0.10 of 10.0.0.1", "bound 10.0.0.10/24 of 10.0.0.1"];
    assert_eq!(lan.take_lines(), wanted);
}

#[test]
fn a_former_address_that_no_server_knows_is_soon_looked_for() {
    let mut lan = Lan::new([Server::new(1)]);
    lan.start(Start::Again(ADDRESS));
    lan.pass_seconds(3);
    assert!(lan.moments("bound")[0] < 2000);
    let wanted = [
        "again 10.0.0.10",
        "again 10.0.0.10",
        "discover, best 10.0.0.10",
        "take 10.0.0.10 of 10.0.0.1",
        "bound 10.0.0.10/24 of 10.0.0.1",
    ];
    assert_eq!(lan.take_lines(), wanted);
}

#[test]
fn after_a_reboot_without_a_server_it_fails_in_time() {
    let mut lan = Lan::new([]);
    lan.start(Start::Again(ADDRESS));
    lan.pass_seconds(60);
    assert_eq!(lan.moments("failed"), [10_000]);
    assert_eq!(lan.client.wake_at(), None);
}

#[test]
fn a_released_lease_is_given_back_and_never_renewed() {
    let mut lan = lan();
    lan.tell(Event::Release);
    lan.pass_seconds(3600);
    assert_eq!(lan.take_lines(), ["release 10.0.0.10 of 10.0.0.1"]);
    assert_eq!(lan.servers[0].released, BTreeSet::from([ADDRESS]));
    assert_eq!((lan.client.state(), lan.client.wake_at()), (State::Init, None));
}

#[test]
fn a_recorded_lease_can_be_released_by_a_client_that_did_not_get_it() {
    let mut lan = lan();
    let lease = lan.client.lease().unwrap().clone();
    lan.client = Client::new(identity("web"), None, 7);
    lan.start(Start::Resume(lease));
    lan.tell(Event::Release);
    assert_eq!(lan.servers[0].released, BTreeSet::from([ADDRESS]));
}

#[test]
fn a_conflict_after_hours_does_not_end_the_search() {
    let mut lan = lan();
    lan.pass_seconds(3600);
    lan.take_lines();
    lan.tell(Event::ConflictFound);
    silence(&mut lan);
    lan.pass_seconds(3600);
    let lines = lan.take_lines();
    assert_eq!(lines[..3], ["decline 10.0.0.10 of 10.0.0.1", "lost: another host uses the address", "discover"]);
    assert_eq!(lan.client.state(), State::Selecting);
    assert!(!lines.iter().any(|line| line.starts_with("failed")), "{lines:?}");
}
