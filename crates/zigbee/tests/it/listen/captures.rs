//! Files of captured frames: formats, times, checksums, and files that are broken.

use std::time::Duration;

use thingward_zigbee::capture::{Capture, CaptureError, has_checksums};
use thingward_zigbee::ieee802154::Fcs;
use thingward_zigbee::listen::Listener;
use thingward_zigbee::{Malformed, Problem};

use super::made::{Sender, captured, pcap, pcapng, pcapng_without_times};
use super::{NETWORK_KEY, keys};

#[test]
fn captures_of_all_formats_give_the_same_frames() {
    let frames = [Sender::new(0x1234, 1, NETWORK_KEY).on_off(1), vec![0x02, 0x00, 0x89]];
    for link in [195u32, 230, 283] {
        for file in [pcap(link, false, &frames), pcap(link, true, &frames), pcapng(link, &frames)] {
            let read: Vec<_> = Capture::open(&file).unwrap().map(Result::unwrap).collect();
            let found: Vec<Vec<u8>> = read.iter().map(|captured| captured.frame.to_vec()).collect();
            assert_eq!(found, frames);
            assert_eq!(read[1].at, Some(Duration::from_micros(1_800_000_001_001_007)));
            let checked = if link == 230 { Fcs::Absent } else { Fcs::Good };
            assert!(read.iter().all(|captured| captured.fcs == checked));
        }
    }
}

#[test]
fn in_a_file_without_times_what_comes_again_is_a_replay() {
    let frame = Sender::new(0x1234, 1, NETWORK_KEY).on_off(1);
    let file = pcapng_without_times(&[frame.clone(), frame]);
    let mut listener = Listener::new(keys());
    let captured: Vec<_> = Capture::open(&file).unwrap().map(Result::unwrap).collect();
    assert!(captured.iter().all(|captured| captured.at.is_none()));
    let heard = captured.iter().map(|captured| listener.hear(captured.at, captured.frame).security());
    assert_eq!(heard.collect::<Vec<_>>(), ["network key #0", "network key #0, counter below 1, REPLAY"]);
}

#[test]
fn a_file_in_which_no_checksum_is_right_has_none() {
    let frames = [Sender::new(0x1234, 1, NETWORK_KEY).on_off(1), vec![0x02, 0x00, 0x89]];
    let mut file = pcap(195, false, &frames);
    assert_eq!(has_checksums(&file), Ok(true));
    let end = file.len();
    file[end - 1] ^= 1;
    assert_eq!(has_checksums(&file), Ok(true));
    let first = end - 16 - 5;
    file[first - 1] ^= 1;
    assert_eq!(has_checksums(&file), Ok(false));
    // One that is right by chance among many that are none makes them none.
    let frames = vec![vec![0x02, 0x00, 0x89]; 20];
    let mut file = pcap(195, false, &frames);
    for record in (24 + 21..file.len() - 1).step_by(21) {
        file[record + 20] ^= 1;
    }
    assert_eq!(has_checksums(&file), Ok(false));
}

#[test]
fn a_file_that_is_no_capture_of_these_frames_is_refused_with_reason() {
    assert_eq!(Capture::open(b"").unwrap_err(), CaptureError::NotACapture);
    assert_eq!(Capture::open(b"hello, world").unwrap_err(), CaptureError::NotACapture);
    assert_eq!(Capture::open(&pcap(1, false, &[])).unwrap_err(), CaptureError::LinkType(1));
    let file = pcap(195, false, &[vec![2, 0, 1]]);
    let cut = Capture::open(&file[..file.len() - 1]).unwrap().next().unwrap().unwrap_err();
    let problem = Problem::Truncated { needed: 5, left: 4 };
    assert_eq!(cut, CaptureError::Broken(Malformed { field: "pcap.data", problem }));
    let short = Capture::open(&captured(195, &[(vec![2, 0], 20)])).unwrap().next().unwrap().unwrap_err();
    let problem = Problem::Truncated { needed: 20, left: 2 };
    assert_eq!(short, CaptureError::Frame(Malformed { field: "capture.frame", problem }));
}

#[test]
fn broken_captures_end_and_do_no_harm() {
    let frames = [Sender::new(0x1234, 1, NETWORK_KEY).on_off(1), vec![0x02, 0x00, 0x89]];
    for link in [195u32, 283] {
        for file in [pcap(link, false, &frames), pcapng(link, &frames)] {
            for at in 0..file.len() {
                let _ = Capture::open(&file[..at]).map(|capture| capture.take(1000).count());
                for value in [0x00, 0x7f, 0xff] {
                    let mut bent = file.clone();
                    bent[at] = value;
                    if let Ok(capture) = Capture::open(&bent) {
                        assert!(capture.take(1000).count() < 1000);
                    }
                }
            }
        }
    }
}
