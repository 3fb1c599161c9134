//! Settings of a queue: their defaults and their ranges.

use ringfence_core::Refusal;
use ringfence_core::queue::{QueueSettings, Sticky, StickyMode};

use crate::common::{World, put_queue, store};

#[test]
fn the_settings_of_the_line_have_their_defaults() {
    let settings = QueueSettings::default();
    assert_eq!((settings.max_wait_sec, settings.max_queued, settings.weight), (600, 0, 1));
    assert_eq!(settings.sticky.mode, StickyMode::Off);
    let sticky = |mode| Sticky { mode, ..Sticky::default() };
    for (mode, name) in
        [(StickyMode::Off, "off"), (StickyMode::Prefer, "prefer"), (StickyMode::Strict, "strict")]
    {
        assert_eq!(store::decode::<String>(&store::encode(&sticky(mode).mode)), name);
    }
}

#[test]
fn a_setting_of_the_line_out_of_range_is_refused_by_name_and_the_ends_of_the_range_are_not() {
    type Set = fn(&mut QueueSettings, u32);
    let ranges: [(&str, Set, u32, u32); 5] = [
        ("max_wait_sec", |settings, to| settings.max_wait_sec = to, 1, 86_400),
        ("max_queued", |settings, to| settings.max_queued = to, 0, 100_000),
        ("weight", |settings, to| settings.weight = to, 1, 1_000),
        ("sticky.window_sec", |settings, to| settings.sticky.window_sec = to, 1, 2_592_000),
        ("sticky.hold_sec", |settings, to| settings.sticky.hold_sec = to, 0, 3_600),
    ];
    let mut world = World::default();
    for (name, set, least, most) in ranges {
        let mut put = |to| {
            let mut settings = QueueSettings::default();
            set(&mut settings, to);
            world.step(put_queue("q", settings)).reply
        };
        assert!(put(least).is_ok() && put(most).is_ok(), "{name}");
        for out in [least.checked_sub(1), most.checked_add(1)].into_iter().flatten() {
            let refused = put(out);
            assert!(matches!(refused, Err(Refusal::Invalid { field, .. }) if field == name), "{refused:?}");
        }
    }
}

#[test]
fn settings_journalled_before_a_setting_was_there_have_its_default() {
    // As the fields before `max_wait_sec` were written.
    let old = (None::<String>, "longest_idle", "dynamic", 7, Some(10), 3600, 3, 5, 5, 5, 0, 0, None::<()>);
    let settings: QueueSettings = store::decode(&store::encode(&old));
    assert_eq!(settings, QueueSettings { agent_ring_timeout_sec: 7, ..QueueSettings::default() });
}
