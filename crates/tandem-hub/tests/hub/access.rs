//! Who may read what: tokens, private and gated data sets.

use hub_emulator::Access;

use crate::place::{NAME, Place};

#[test]
fn a_gated_data_set_is_explained_page_and_token() {
    let place = Place::new();
    place
        .server
        .protect("owner/pictures", Access::Gated("hf_accepted".into()));
    let page = format!(
        "accept its terms at {}/datasets/owner/pictures",
        place.server.endpoint()
    );
    let tokens = format!("{}/settings/tokens", place.server.endpoint());
    place.refuses(
        NAME,
        &[
            "owner/pictures is gated",
            &page,
            "set HF_TOKEN",
            &tokens,
            "hf auth login",
        ],
    );
    let place = place.token("hf_other");
    place.refuses(
        NAME,
        &[
            "owner/pictures is gated",
            &page,
            "the token of HF_TOKEN",
            &tokens,
        ],
    );
    let place = place.token("hf_accepted");
    place.get(NAME).unwrap();
}

#[test]
fn a_private_data_set_and_one_that_is_not_there_look_the_same_and_both_are_said() {
    let place = Place::new();
    place
        .server
        .protect("owner/pictures", Access::Private("hf_mine".into()));
    for name in [NAME, "hf:owner/nothing"] {
        place.refuses(
            name,
            &[
                &name[3..],
                "or it is private",
                "check the name",
                "set HF_TOKEN",
            ],
        );
    }
    let place = place.token("hf_other");
    for name in [NAME, "hf:owner/nothing"] {
        place.refuses(
            name,
            &[&name[3..], "whether the token of HF_TOKEN may read it"],
        );
    }
    let place = place.token("hf_mine");
    place.get(NAME).unwrap();
}

#[test]
fn a_revision_that_is_not_there_is_told_with_where_they_are_listed() {
    let place = Place::new();
    for revision in ["v9", "0123456789012345678901234567890123456789"] {
        let commits = format!(
            "{}/datasets/owner/pictures/commits/main",
            place.server.endpoint()
        );
        place.refuses(
            &format!("{NAME}@{revision}"),
            &["owner/pictures", &format!("`{revision}`"), &commits],
        );
    }
}

#[test]
fn a_token_that_the_hub_does_not_take_is_told_by_where_it_came_from() {
    let place = Place::new().token("hf_revoked");
    place.refuses(
        NAME,
        &["does not take the token of HF_TOKEN", "/settings/tokens"],
    );
}

#[test]
fn the_token_goes_to_the_hub_and_not_where_the_hub_redirects_to() {
    let place = Place::new().token("hf_secret");
    place.server.list_by(1);
    place.get(NAME).unwrap();
    let requests = place.server.requests();
    assert!(requests.iter().any(|request| request.to_contents));
    for request in requests {
        let sent = request.authorization.as_deref();
        assert_eq!(
            sent,
            (!request.to_contents).then_some("Bearer hf_secret"),
            "{request:?}"
        );
    }
}

#[test]
fn without_a_token_none_is_sent() {
    let place = Place::new();
    place.get(NAME).unwrap();
    assert!(
        place
            .server
            .requests()
            .iter()
            .all(|request| request.authorization.is_none())
    );
}
