//! The sending token: exactly one device sends.

use super::*;

pub(super) const GROUP: &[u8] = b"group";

fn holding(token: Token) -> Holding {
    match token {
        Token::Holding(state) => state,
        other => panic!("not holding: {other:?}"),
    }
}

fn following(token: Token) -> Following {
    match token {
        Token::Following(state) => state,
        other => panic!("not following: {other:?}"),
    }
}

pub(super) fn devices<const N: usize>(mode: TestMode) -> ([Vault; N], [Paired; N]) {
    let all = paired(N as u16, mode, TestRoad::File);
    let (mut vaults, mut states) = (Vec::new(), Vec::new());
    for device in all {
        vaults.push(device.vault);
        states.push(device.state);
    }
    (vaults.try_into().ok().unwrap(), states.try_into().ok().unwrap())
}

#[test]
fn the_token_goes_round_three_devices_and_one_sends() {
    let ([a, b, c], [pa, pb, pc]) = devices::<3>(TestMode::Hidden);
    let at_a = holding(pa.token(GROUP).unwrap());
    let at_b = following(pb.token(GROUP).unwrap());
    let at_c = following(pc.token(GROUP).unwrap());
    assert_eq!(at_a.right(0), SendRight::Granted);
    assert_eq!((at_b.holder(), at_c.holder()), (A, A));

    let (at_a, offer) = at_a.offer(&a, B, 5).unwrap();
    assert_eq!((at_a.to(), &offer.route), (B, &Route::Partners(vec![B])));
    assert_eq!(at_a.resend().unwrap(), offer);
    let (at_b, take) = at_b.take(&b, offer.message.expose()).unwrap();
    assert_eq!(take.route, Route::Partners(vec![A, C]));
    assert_eq!(at_b.right(5), SendRight::AfterCommit, "A may have sent in epoch 5");
    assert_eq!(at_b.right(6), SendRight::Granted);
    let at_a = at_a.receive(&a, take.message.expose()).unwrap();
    assert_eq!(at_a.holder(), B);

    // C misses that and hears of the next one only: the counter tells.
    let (at_b, offer) = at_b.offer(&b, C, 6).unwrap();
    let (at_c, second) = at_c.take(&c, offer.message.expose()).unwrap();
    assert_eq!(at_c.right(7), SendRight::Granted);
    let at_b = at_b.receive(&b, second.message.expose()).unwrap();
    let at_a = at_a.observe(&a, second.message.expose()).unwrap();
    assert_eq!((at_a.holder(), at_b.holder()), (C, C));
    // The first TokenTake once more, late.
    let (_, error) = refused_peer(at_a.observe(&a, take.message.expose()));
    assert_eq!(error, PeerError::StaleToken { found: 1, known: 2 });
}

#[test]
fn an_offer_before_the_own_commit_does_not_turn_the_epoch_back() {
    let ([a, b], [pa, pb]) = devices::<2>(TestMode::Leaf);
    let (_, offer) = holding(pa.token(GROUP).unwrap()).offer(&a, B, 9).unwrap();
    let at_b = following(pb.token(GROUP).unwrap());
    let (at_b, _) = at_b.take(&b, offer.message.expose()).unwrap();
    // B changes its mind at once, in an epoch in which A may have sent.
    let (_, back) = at_b.offer(&b, A, 3).unwrap();
    let PairingMessage::TokenOffer(back) = PairingMessage::decode(back.message.expose()).unwrap()
    else {
        panic!("an offer")
    };
    assert_eq!((back.epoch, back.counter), (9, 2));
}

#[test]
fn lost_messages_are_sent_again_and_replays_are_refused() {
    let ([a, b], [pa, pb]) = devices::<2>(TestMode::Leaf);
    let (at_a, offer) = holding(pa.token(GROUP).unwrap()).offer(&a, B, 5).unwrap();
    let offer = offer.message;
    let at_b = following(pb.token(GROUP).unwrap());
    let (at_b, take) = at_b.take(&b, offer.expose()).unwrap();
    assert_eq!(at_b.answer(&b, offer.expose()).unwrap(), take, "the TokenTake was lost");
    let at_a = at_a.receive(&a, take.message.expose()).unwrap();

    let (at_b, second) = at_b.offer(&b, A, 6).unwrap();
    let (at_a, second_take) = at_a.take(&a, second.message.expose()).unwrap();
    let at_b = at_b.receive(&b, second_take.message.expose()).unwrap();
    // A's old offer would give B the token while A holds it.
    let (at_b, error) = refused_peer(at_b.take(&b, offer.expose()));
    assert_eq!(error, PeerError::StaleToken { found: 1, known: 2 });
    assert_eq!(at_b.holder(), A);
    // B's old TokenTake does not take it from A either: A is no `Offering`.
    let stale = at_a.answer(&a, offer.expose());
    let own = PeerError::Reflected(MessageType::TokenOffer);
    assert!(matches!(stale, Err(PairingError::Peer(error)) if error == own));
}

#[test]
fn holding_after_offer_failed() {
    let [a, b] = two(paired(2, TestMode::Leaf, TestRoad::File));
    let state = holding(a.state.token(GROUP).unwrap());
    let device = Device { storage: a.storage, vault: a.vault, state };
    let device = device.broken(|vault, state| state.offer(vault, B, 1));
    let mut state = device.state;
    for nobody in [A, STRANGER] {
        let (back, error) = refused_caller(state.offer(&device.vault, nobody, 1));
        assert_eq!(error, CallerError::NotAPartner(nobody));
        state = back;
    }
    let (_, offer) = state.offer(&device.vault, B, 1).unwrap();
    assert!(
        following(b.state.token(GROUP).unwrap()).take(&b.vault, offer.message.expose()).is_ok()
    );
}

#[test]
fn following_after_take_or_observe_failed() {
    let ([a, b, c], [pa, pb, pc]) = devices::<3>(TestMode::Leaf);
    let offer_to = |device, group| {
        let (_, offer) = holding(pa.token(group).unwrap()).offer(&a, device, 5).unwrap();
        offer.message
    };
    let (to_b, to_c) = (offer_to(B, GROUP), offer_to(C, GROUP));
    let elsewhere = offer_to(B, b"another group");
    let at_c = following(pc.token(GROUP).unwrap());
    let (_, take_c) = at_c.take(&c, to_c.expose()).unwrap();

    let state = following(pb.token(GROUP).unwrap());
    let (state, error) = refused_peer(state.take(&b, to_c.expose()));
    assert_eq!(error, PeerError::OtherHolder { found: C, expected: B });
    let (state, error) = refused_peer(state.take(&b, elsewhere.expose()));
    assert_eq!(error, PeerError::OtherGroup);
    let (state, error) = refused_peer(state.take(&b, take_c.message.expose()));
    let out = |message| PeerError::OutOfOrder { message, state: StateName::Token };
    assert_eq!(error, out(MessageType::TokenTake));
    let (mut state, error) = refused_peer(state.observe(&b, to_b.expose()));
    assert_eq!(error, out(MessageType::TokenOffer));
    for position in 0..to_b.len() {
        let mut changed = to_b.expose().to_vec();
        changed[position] ^= 1;
        state = refused_peer(state.take(&b, &changed)).0;
    }
    for position in 0..take_c.message.len() {
        let mut changed = take_c.message.expose().to_vec();
        changed[position] ^= 1;
        state = refused_peer(state.observe(&b, &changed)).0;
    }
    assert_eq!(state.holder(), A);
    assert!(state.take(&b, to_b.expose()).is_ok());
}

#[test]
fn offering_after_receive_failed() {
    let ([a, b, c], [pa, pb, pc]) = devices::<3>(TestMode::Leaf);
    let offer = |device| holding(pa.token(GROUP).unwrap()).offer(&a, device, 5).unwrap();
    let (_, to_c) = offer(C);
    let (state, to_b) = offer(B);
    let (_, from_c) = following(pc.token(GROUP).unwrap()).take(&c, to_c.message.expose()).unwrap();
    let (_, from_b) = following(pb.token(GROUP).unwrap()).take(&b, to_b.message.expose()).unwrap();

    let (state, error) = refused_peer(state.receive(&a, from_c.message.expose()));
    assert_eq!(error, PeerError::OtherHolder { found: C, expected: B });
    let (state, error) = refused_peer(state.receive(&a, to_b.message.expose()));
    let message = MessageType::TokenOffer;
    assert_eq!(error, PeerError::OutOfOrder { message, state: StateName::Token });
    let (state, error) = refused_peer(state.take(&a, to_b.message.expose()));
    assert_eq!(error, PeerError::Reflected(message));
    assert_eq!(state.receive(&a, from_b.message.expose()).unwrap().holder(), B);
}

#[test]
fn offering_after_take_failed() {
    let ([a, b], [pa, pb]) = devices::<2>(TestMode::Leaf);
    let (at_a, first) = holding(pa.token(GROUP).unwrap()).offer(&a, B, 5).unwrap();
    let at_b = following(pb.token(GROUP).unwrap());
    let (at_b, _lost) = at_b.take(&b, first.message.expose()).unwrap();
    let (_, second) = at_b.offer(&b, A, 6).unwrap();
    let (at_a, _) = at_a.take(&a, second.message.expose()).unwrap();
    let (state, third) = at_a.offer(&a, B, 7).unwrap();

    // B's offer once more: A has given the token away again since.
    let (state, error) = refused_peer(state.take(&a, second.message.expose()));
    assert_eq!(error, PeerError::StaleToken { found: 2, known: 3 });
    assert_eq!((state.to(), state.resend().unwrap()), (B, third));
}

#[test]
fn a_lost_answer_is_made_up_for_by_what_comes_later() {
    let ([a, b, c], [pa, pb, pc]) = devices::<3>(TestMode::Leaf);
    let offer = |state: Holding, vault, to| state.offer(vault, to, 5).unwrap();
    let (at_a, to_b) = offer(holding(pa.token(GROUP).unwrap()), &a, B);
    let at_b = following(pb.token(GROUP).unwrap());
    // B takes, A does not hear of it, and B gives the token on: back to A, or to C.
    let (at_b, _lost) = at_b.take(&b, to_b.message.expose()).unwrap();
    let (_, to_a) = offer(at_b, &b, A);
    let record = Token::from(at_a).to_record().unwrap();
    let Ok(Token::Offering(at_a)) = Token::from_record(&record) else { panic!("offering") };
    let (at_a, _) = at_a.take(&a, to_a.message.expose()).unwrap();
    assert_eq!(at_a.right(6), SendRight::Granted);

    let Ok(Token::Offering(at_a)) = Token::from_record(&record) else { panic!("offering") };
    let at_b = following(pb.token(GROUP).unwrap());
    let (at_b, _lost) = at_b.take(&b, to_b.message.expose()).unwrap();
    let (_, to_c) = offer(at_b, &b, C);
    let at_c = following(pc.token(GROUP).unwrap());
    let (at_c, take) = at_c.take(&c, to_c.message.expose()).unwrap();
    assert_eq!(at_c.announce().unwrap(), Some(take));
    let again = at_c.announce().unwrap().unwrap();
    let at_a = at_a.receive(&a, again.message.expose()).unwrap();
    assert_eq!(at_a.holder(), C);
    assert_eq!(holding(pa.token(GROUP).unwrap()).announce().unwrap(), None);
}

#[test]
fn a_node_anchor_has_no_token() {
    let [a, _] = two(paired(2, TestMode::Node, TestRoad::File));
    assert_eq!(a.state.token(GROUP), Err(CallerError::NoSharedLeaf));
}

#[test]
fn a_token_survives_a_restart_in_every_state() {
    fn restart(token: impl Into<Token>) -> Token {
        let token = token.into();
        let record = token.to_record().unwrap();
        for end in 0..record.len() {
            assert_eq!(Token::from_record(&record[..end]), Err(StateRecordError::Malformed));
        }
        let future = [&[2], &record[1..]].concat();
        assert_eq!(Token::from_record(&future), Err(StateRecordError::Version(2)));
        let longer = [&record[..], &[0]].concat();
        assert_eq!(Token::from_record(&longer), Err(StateRecordError::Malformed));
        let loaded = Token::from_record(&record).unwrap();
        assert_eq!(loaded, token);
        loaded
    }
    let ([a, b], [pa, pb]) = devices::<2>(TestMode::Hidden);
    let at_a = holding(restart(pa.token(GROUP).unwrap()));
    let at_b = following(restart(pb.token(GROUP).unwrap()));
    let (at_a, offer) = at_a.offer(&a, B, 5).unwrap();
    let Token::Offering(at_a) = restart(at_a) else { panic!("offering") };
    assert_eq!(at_a.resend().unwrap(), offer);
    let (at_b, take) = at_b.take(&b, offer.message.expose()).unwrap();
    let at_b = holding(restart(at_b));
    assert_eq!(at_b.answer(&b, offer.message.expose()).unwrap(), take);
    assert_eq!(at_b.right(5), SendRight::AfterCommit);
    let at_a = at_a.receive(&a, take.message.expose()).unwrap();
    assert_eq!(following(restart(at_a)).holder(), B);
}
