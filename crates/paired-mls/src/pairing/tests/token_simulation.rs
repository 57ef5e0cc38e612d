//! The sending token in a bad network.

use super::{
    token::{GROUP, devices},
    *,
};

/// A network that loses, repeats and reorders; devices that offer the token at random.
#[test]
fn whatever_is_lost_never_do_two_devices_hold_it_and_it_is_never_lost() {
    let (vaults, paired) = devices::<3>(TestMode::Leaf);
    for case in 0..60_u64 {
        let mut random = case.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut below = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) as usize % bound
        };
        let mut tokens = paired.each_ref().map(|state| Some(state.token(GROUP).unwrap()));
        let mut air: Vec<(usize, Secret)> = Vec::new();
        for step in 0..120 {
            // At the end nothing is lost and nobody offers any more.
            let calm = step >= 60;
            let who = below(3);
            let deliver = !air.is_empty() && below(2) == 0;
            let mut sends = Vec::new();
            if deliver {
                let at = below(air.len());
                let (to, message) = match below(4) {
                    0 if !calm => (air[at].0, Secret::copy_of(air[at].1.expose())),
                    _ => air.swap_remove(at),
                };
                if calm || below(3) > 0 {
                    let token = tokens[to].take().unwrap();
                    let (token, answer) = give(token, &vaults[to], message.expose());
                    tokens[to] = Some(token);
                    sends.extend(answer);
                }
            } else {
                let token = tokens[who].take().unwrap();
                let partner = DeviceId(((who + 1 + below(2)) % 3) as u16);
                tokens[who] = Some(match token {
                    Token::Holding(state) if !calm && below(2) == 0 => {
                        let (state, offer) = state.offer(&vaults[who], partner, step).unwrap();
                        sends.push(offer);
                        state.into()
                    }
                    Token::Holding(state) => {
                        sends.extend(state.announce().unwrap());
                        state.into()
                    }
                    Token::Offering(state) => {
                        sends.push(state.resend().unwrap());
                        state.into()
                    }
                    other => other,
                });
            }
            for Outbound { route, message } in sends {
                let Route::Partners(devices) = route else { panic!("to partners") };
                air.extend(
                    devices
                        .iter()
                        .map(|device| (usize::from(device.0), Secret::copy_of(message.expose()))),
                );
            }
            let holders = tokens.iter().flatten().filter(|t| matches!(t, Token::Holding(_)));
            assert!(holders.count() <= 1, "case {case}, step {step}");
        }
        // One last round in which everything arrives.
        for _ in 0..3 {
            let mut round: Vec<(usize, Secret)> = std::mem::take(&mut air);
            for token in tokens.iter().flatten() {
                let outbound = match token {
                    Token::Holding(state) => state.announce().unwrap(),
                    Token::Offering(state) => Some(state.resend().unwrap()),
                    Token::Following(_) => None,
                };
                let Some(Outbound { route: Route::Partners(devices), message }) = outbound else {
                    continue;
                };
                round.extend(
                    devices
                        .iter()
                        .map(|device| (usize::from(device.0), Secret::copy_of(message.expose()))),
                );
            }
            for (to, message) in round {
                let token = tokens[to].take().unwrap();
                let (token, answer) = give(token, &vaults[to], message.expose());
                tokens[to] = Some(token);
                if let Some(Outbound { route: Route::Partners(devices), message }) = answer {
                    air.extend(
                        devices.iter().map(|device| {
                            (usize::from(device.0), Secret::copy_of(message.expose()))
                        }),
                    );
                }
            }
        }
        let names: Vec<_> = tokens
            .iter()
            .flatten()
            .map(|token| match token {
                Token::Holding(_) => 'h',
                Token::Offering(_) => 'o',
                Token::Following(_) => 'f',
            })
            .collect();
        assert_eq!(names.iter().filter(|name| **name == 'h').count(), 1, "case {case}: {names:?}");
        assert!(!names.contains(&'o'), "case {case}: {names:?}");
    }
}

/// Hands a message to a token in whatever state it is; a refused one changes nothing.
fn give(token: Token, vault: &Vault, message: &[u8]) -> (Token, Option<Outbound>) {
    let is_offer = matches!(PairingMessage::decode(message), Ok(PairingMessage::TokenOffer(_)));
    fn taken<S: Into<Token>>(
        result: Result<(Holding, Outbound), Failed<S>>,
    ) -> (Token, Option<Outbound>) {
        match result {
            Ok((state, take)) => (state.into(), Some(take)),
            Err(failed) => (failed.into_state().into(), None),
        }
    }
    fn heard<S: Into<Token>>(result: Result<Following, Failed<S>>) -> (Token, Option<Outbound>) {
        (result.map_or_else(|failed| failed.into_state().into(), Token::from), None)
    }
    match (token, is_offer) {
        (Token::Holding(state), true) => {
            let answer = state.answer(vault, message).ok();
            (state.into(), answer)
        }
        (Token::Holding(state), false) => (state.into(), None),
        (Token::Offering(state), true) => taken(state.take(vault, message)),
        (Token::Offering(state), false) => heard(state.receive(vault, message)),
        (Token::Following(state), true) => taken(state.take(vault, message)),
        (Token::Following(state), false) => heard(state.observe(vault, message)),
    }
}
