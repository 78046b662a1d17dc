//! Messages to several nodes at once, and what tells each where the group's nonces are.

use thingward_zwave::S2Class;
use thingward_zwave::security2::{GroupId, KeySlot, Sealed, Unopened};

use crate::security2::{HERE, Pair, SLOT, THERE, node};

#[test]
fn a_multicast_reaches_members_that_were_told_and_those_that_were_not_say_so() {
    let mut pair = Pair::new();
    let group = GroupId(7);
    pair.here.insert_group(group, S2Class::Authenticated, &mut pair.rng);
    let first = pair.here.seal_multicast(group, &[0x25, 0x01, 0xff]).unwrap();
    pair.agree();
    let opening = pair.seal(&[0]);
    pair.open(&opening).unwrap();
    assert_eq!(pair.there.open_multicast(node(HERE), &first), Err(Unopened::NoNonce));
    let says = pair.there.seal(node(HERE), SLOT, &[], &mut pair.rng).unwrap();
    assert!(Sealed::parse(&says).unwrap().extensions.len() == 1);
    pair.here.open(node(THERE), &says).unwrap();
    let told =
        pair.here.seal_follow_up(group, node(THERE), &[0x25, 0x01, 0xff], true, &mut pair.rng).unwrap();
    assert_eq!(pair.open(&told).unwrap(), [0x25, 0x01, 0xff]);
    for round in 0..8 {
        let cast = pair.here.seal_multicast(group, &[0x25, 0x01, round]).unwrap();
        assert_eq!(pair.there.open_multicast(node(HERE), &cast).unwrap().command, [0x25, 0x01, round]);
        assert!(pair.there.open_multicast(node(HERE), &cast).is_err(), "played again");
        let next = pair.here.seal_follow_up(group, node(THERE), &[0x25, 0x01, round], false, &mut pair.rng);
        pair.open(&next.unwrap()).unwrap();
        assert!(pair.there.open_multicast(node(HERE), &cast).is_err(), "played again after the follow-up");
    }
}

#[test]
fn a_group_is_not_put_out_of_step_under_the_key_of_a_lesser_class() {
    let mut pair = Pair::new();
    let (group, command) = (GroupId(7), [0x25, 0x01, 0xff]);
    let mut casts = Vec::new();
    for class in [S2Class::Authenticated, S2Class::Unauthenticated] {
        pair.here.insert_group(group, class, &mut pair.rng);
        pair.agree();
        let told = pair.here.seal_follow_up(group, node(THERE), &command, true, &mut pair.rng).unwrap();
        pair.open(&told).unwrap();
        casts.push((class, pair.here.seal_multicast(group, &command).unwrap()));
    }
    for (class, cast) in casts {
        let opened = pair.there.open_multicast(node(HERE), &cast).unwrap();
        assert_eq!(opened.slot, KeySlot::Class(class));
    }
}
