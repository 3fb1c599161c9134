//! The reference table of the live-status buckets (model.md §7), one row per combination of facets.

#![cfg(test)]

mod common;

use common::oracle;
use ringfence_core::bucket::{Bucket, BucketCounts, Facets, Intent, Tile};

const FLAGS: [bool; 2] = [false, true];
const INTENTS: [Intent; 3] = [Intent::Offline, Intent::Available, Intent::OnBreak];

fn all_facets() -> Vec<Facets> {
    let mut rows = Vec::new();
    for bits in 0_u32..1 << 7 {
        let flag = |n: u32| FLAGS[(bits >> n & 1) as usize];
        for intent in INTENTS {
            rows.push(Facets {
                external_call: flag(0),
                in_call: flag(1),
                offering: flag(2),
                free_slot: flag(3),
                intent,
                reachable: flag(4),
                offerable: flag(5),
                in_queue: flag(6),
            });
        }
    }
    rows
}

#[test]
fn every_combination_of_facets_is_in_the_bucket_of_the_reference_table() {
    let rows = all_facets();
    assert_eq!(rows.len(), 2 * 2 * 2 * 2 * 3 * 2 * 2 * 2);
    for facets in rows {
        assert_eq!(Bucket::of(facets), oracle::bucket(&facets), "{facets:?}");
    }
}

/// How many of the 384 combinations fall into each bucket, counted by hand: each row halves what is left, but for the
/// status, which takes a third, and for rows that need no free slot.
#[test]
fn the_buckets_take_the_share_of_combinations_that_their_order_gives_them() {
    let mut counts = BucketCounts::default();
    all_facets().into_iter().for_each(|facets| counts.enter(Bucket::of(facets)));
    let expected = BucketCounts {
        // Half of all.
        external_call: 192,
        // A quarter of the other half: in a call and no free slot.
        in_call: 48,
        // A third of the 144 that are left.
        offline: 48,
        // Half of the 96.
        unreachable: 48,
        // Of the 48: 16 have no free slot (and no call), half of those ring.
        ringing: 8,
        // Half of the 40.
        paused: 20,
        // Of the 20: 4 have no free slot.
        wrap_up: 4,
        // A quarter of the 16.
        ready: 4,
        idle: 12,
    };
    assert_eq!(counts, expected);
    assert_eq!(counts.total(), 384);
}

/// With one slot, what the agent is doing decides whether the slot is free.
#[test]
fn with_one_slot_the_order_is_the_documented_one() {
    let waiting = Facets {
        external_call: false,
        in_call: false,
        offering: false,
        free_slot: true,
        intent: Intent::Available,
        reachable: true,
        offerable: true,
        in_queue: true,
    };
    let rows = [
        (waiting, Bucket::Ready),
        (Facets { in_queue: false, ..waiting }, Bucket::Idle),
        (Facets { offerable: false, ..waiting }, Bucket::Idle),
        (Facets { free_slot: false, offerable: false, ..waiting }, Bucket::WrapUp),
        (Facets { intent: Intent::OnBreak, ..waiting }, Bucket::Paused),
        (Facets { intent: Intent::OnBreak, free_slot: false, ..waiting }, Bucket::Paused),
        (Facets { offering: true, free_slot: false, ..waiting }, Bucket::Ringing),
        (Facets { offering: true, free_slot: false, intent: Intent::OnBreak, ..waiting }, Bucket::Ringing),
        (Facets { reachable: false, offerable: false, ..waiting }, Bucket::Unreachable),
        (Facets { reachable: false, offering: true, free_slot: false, ..waiting }, Bucket::Unreachable),
        (Facets { intent: Intent::Offline, reachable: false, ..waiting }, Bucket::Offline),
        (Facets { in_call: true, free_slot: false, intent: Intent::Offline, ..waiting }, Bucket::InCall),
        (Facets { in_call: true, free_slot: false, reachable: false, ..waiting }, Bucket::InCall),
        (Facets { external_call: true, in_call: true, free_slot: false, ..waiting }, Bucket::ExternalCall),
        (Facets { external_call: true, intent: Intent::Offline, ..waiting }, Bucket::ExternalCall),
        // More slots: a call or an offer beside a free slot does not hide who can be called.
        (Facets { in_call: true, offering: true, ..waiting }, Bucket::Ready),
        (Facets { in_call: true, offering: true, intent: Intent::OnBreak, ..waiting }, Bucket::Paused),
    ];
    for (facets, bucket) in rows {
        assert_eq!(Bucket::of(facets), bucket, "{facets:?}");
    }
}

#[test]
fn every_bucket_is_in_the_tile_of_the_table_and_both_levels_sum_to_the_roster() {
    let tiles = [
        (Tile::Available, vec![Bucket::Ready, Bucket::Idle]),
        (Tile::OnCall, vec![Bucket::ExternalCall, Bucket::InCall]),
        (Tile::Ringing, vec![Bucket::Ringing]),
        (Tile::Paused, vec![Bucket::Paused]),
        (Tile::WrapUp, vec![Bucket::WrapUp]),
        (Tile::Offline, vec![Bucket::Offline, Bucket::Unreachable]),
    ];
    let mut counts = BucketCounts::default();
    for (n, bucket) in Bucket::ALL.into_iter().enumerate() {
        // A different number each, so that no two can be mixed up.
        (0..1 << n).for_each(|_| counts.enter(bucket));
    }
    for (tile, buckets) in &tiles {
        assert!(buckets.iter().all(|bucket| bucket.tile() == *tile));
        let sum: u32 = buckets.iter().map(|bucket| counts.get(*bucket)).sum();
        assert_eq!(counts.tiles().get(*tile), sum, "{tile:?}");
    }
    assert_eq!(tiles.iter().map(|(_, buckets)| buckets.len()).sum::<usize>(), Bucket::ALL.len());
    assert_eq!(counts.total(), 511);
    assert_eq!(Tile::ALL.into_iter().map(|tile| counts.tiles().get(tile)).sum::<u32>(), 511);
    for bucket in Bucket::ALL {
        (0..counts.get(bucket)).for_each(|_| counts.leave(bucket));
    }
    assert_eq!(counts, BucketCounts::default());
}

#[test]
fn buckets_and_tiles_read_and_write_both_spellings() {
    let names = [
        (Bucket::ExternalCall, "external_call", "extcall"),
        (Bucket::InCall, "in_call", "incall"),
        (Bucket::Offline, "offline", "offline"),
        (Bucket::Unreachable, "unreachable", "unreachable"),
        (Bucket::Ringing, "ringing", "ring"),
        (Bucket::Paused, "paused", "paused"),
        (Bucket::WrapUp, "wrap_up", "wrapup"),
        (Bucket::Ready, "ready", "ready"),
        (Bucket::Idle, "idle", "idle"),
    ];
    for (bucket, long, short) in names {
        assert_eq!((bucket.as_str(), bucket.code()), (long, short));
        assert_eq!((Bucket::parse(long), Bucket::parse(short)), (Some(bucket), Some(bucket)));
        let stored: String = common::store::decode(&common::store::encode(&bucket));
        assert_eq!(stored, long, "stored as it is shown");
    }
    assert_eq!(Bucket::parse("Ready"), None);
    let tiles = ["available", "on_call", "ringing", "paused", "wrap_up", "offline"];
    assert_eq!(Tile::ALL.map(Tile::as_str), tiles);
    for tile in Tile::ALL {
        let stored: String = common::store::decode(&common::store::encode(&tile));
        assert_eq!(stored, tile.as_str());
    }
}
