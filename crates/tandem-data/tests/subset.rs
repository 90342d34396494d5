//! Some pictures of a set.

mod common;

use std::sync::Arc;

use common::Made;
use tandem_data::{Part, Subset, open};

#[test]
fn places_are_apart_and_inside() {
    let of = |total, count, seed| Subset::places(total, count, seed).collect::<Vec<_>>();
    assert_eq!(of(100, 4, 0), [0, 25, 50, 75]);
    assert_eq!(of(100, 4, 130), [30, 55, 80, 5]);
    assert_eq!(of(2, 5, 0), [0, 1]);
}

#[test]
fn a_subset_is_the_pictures_at_its_places() {
    let all = open("builtin", Part::Validation).unwrap();
    let some = Subset::spread(Arc::clone(&all), 7, 11);
    let places: Vec<usize> = Subset::places(all.len(), 7, 11).collect();
    assert_eq!((some.len(), some.classes()), (7, all.classes()));
    for (i, place) in places.into_iter().enumerate() {
        assert_eq!(some.picture(i).unwrap(), all.picture(place).unwrap());
        assert_eq!(some.label(i), all.label(place));
        assert_eq!(
            (some.key(i), some.name(i)),
            (all.key(place), all.name(place))
        );
    }
}

#[test]
fn a_subset_is_told_from_the_whole_and_from_other_subsets() {
    let all = Made::noise(50, 4, 3);
    let print = |count, seed| Subset::spread(Arc::clone(&all), count, seed).fingerprint();
    assert_eq!(print(10, 3), print(10, 3));
    let others = [
        all.fingerprint(),
        print(10, 3),
        print(10, 4),
        print(11, 3),
        print(49, 0),
    ];
    for (i, one) in others.iter().enumerate() {
        assert!(!others[..i].contains(one), "{others:?}");
    }
}

#[test]
fn as_many_as_there_are_is_the_whole_set() {
    let all = Made::noise(50, 4, 3);
    for count in [50, 51, usize::MAX] {
        let some = Subset::spread(Arc::clone(&all), count, 7);
        assert!(Arc::ptr_eq(&some, &all));
    }
}
