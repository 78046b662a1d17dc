//! How the radio listens for things that want to join.

use std::time::Duration;

use thingward_radio::wire::{Admission, AdmissionState, Secret};
use thingward_radio::{Order, Report};
use thingward_zwave::serial::AddMode;

use crate::bench::{Bench, HOME};

const DSK: &str = "51525-35455-41424-34445-31323-33435-21222-32425";

fn admitted(seconds: u16, printed: Option<&str>) -> Bench {
    let mut bench = Bench::new(HOME, None);
    bench.modes.clear();
    let printed = printed.map(|text| Secret::new(text.as_bytes().to_vec()));
    bench.order(Order::Admit(Admission { seconds, printed }));
    bench
}

fn told(bench: &Bench) -> Vec<&AdmissionState> {
    let states = bench.reports.iter().filter_map(|report| match report {
        Report::Admission(state) => Some(state),
        _ => None,
    });
    states.collect()
}

#[test]
fn a_host_of_before_that_let_things_in_is_ended() {
    let bench = Bench::new(HOME, None);
    assert_eq!(bench.modes, [AddMode::Stop]);
}

#[test]
fn a_thing_with_a_whole_key_may_come_by_its_button_or_by_itself_in_turns() {
    let mut bench = admitted(25, Some(DSK));
    assert_eq!(bench.modes, [AddMode::Any]);
    bench.wait(Duration::from_secs(11));
    assert_eq!(bench.modes[1..], [AddMode::Stop, AddMode::SmartStartListen]);
    bench.wait(Duration::from_secs(10));
    assert_eq!(bench.modes[3..], [AddMode::Stop, AddMode::Any]);
    bench.wait(Duration::from_secs(10));
    assert_eq!(bench.modes[5..], [AddMode::Stop]);
    assert_eq!(told(&bench).last(), Some(&&AdmissionState::Closed));
}

#[test]
fn without_a_whole_key_it_waits_for_a_button_until_time_is_up_or_nobody_wants_it() {
    for printed in [None, Some("12345")] {
        let mut bench = admitted(300, printed);
        bench.wait(Duration::from_secs(130));
        // The controller waits for two minutes at a time.
        assert_eq!(bench.modes, [AddMode::Any, AddMode::Stop, AddMode::Any]);
        bench.order(Order::Close);
        assert_eq!(bench.modes[3..], [AddMode::Stop]);
        assert_eq!(told(&bench).last(), Some(&&AdmissionState::Closed));
    }
}

#[test]
fn what_is_not_printed_on_any_thing_lets_nobody_in() {
    for printed in ["", "1234", "123456", "seventeen", "99999-99999-99999-99999-99999-99999-99999-99999"] {
        let bench = admitted(60, Some(printed));
        assert!(bench.modes.is_empty(), "{printed}");
        assert!(matches!(told(&bench)[..], [AdmissionState::Closed]), "{printed}");
        assert!(bench.reports.iter().any(|report| matches!(report, Report::Refused { .. })));
    }
}
