//! Which names fit what somebody types in a hurry.
//!
//! A word fits what contains it. Only when nothing in the list does, it fits what has its letters in their order, so
//! that `dbzord` finds `dbz_orders` and `order` still means `order`.

/// How near a word comes to a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// Its letters stand in it, in their order.
    Spread,
    /// It stands in it as it is.
    Within,
}

/// How near `word`, in small letters, comes to `text`; `None`: it does not fit.
#[must_use]
pub fn fit(word: &str, text: &str) -> Option<Fit> {
    let text = text.to_lowercase();
    if text.contains(word) {
        return Some(Fit::Within);
    }
    let mut letters = text.chars();
    // A single letter that is not there is spread over nothing.
    word.chars().all(|wanted| letters.any(|letter| letter == wanted)).then_some(Fit::Spread)
}

/// The best that `word` comes to in any of `texts`.
pub fn best<'a>(word: &str, texts: impl IntoIterator<Item = &'a str>) -> Option<Fit> {
    texts.into_iter().filter_map(|text| fit(word, text)).max()
}

/// Keeps the items whose name fits every word of `typed`.
pub fn retain<T>(items: &mut Vec<T>, typed: &str, name: impl Fn(&T) -> String) {
    let typed = typed.to_lowercase();
    if typed.trim().is_empty() {
        return;
    }
    let names: Vec<String> = items.iter().map(name).collect();
    let mut kept = vec![true; items.len()];
    for word in typed.split_whitespace() {
        let wanted = best(word, names.iter().map(String::as_str));
        for (kept, name) in kept.iter_mut().zip(&names) {
            *kept &= wanted.is_some() && fit(word, name) >= wanted;
        }
    }
    let mut kept = kept.into_iter();
    items.retain(|_| kept.next().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_their_order_fit_where_nothing_contains_the_word() {
        let names = ["public.orders", "public.order_items", "sales.odors", "Ünïcode"];
        let left = |typed: &str| {
            let mut items = names.to_vec();
            retain(&mut items, typed, |name| (*name).to_owned());
            items
        };
        assert_eq!(left(""), names);
        assert_eq!(left("orders"), ["public.orders"], "the nearest only");
        assert_eq!(left("pubitm"), ["public.order_items"]);
        assert_eq!(left("ordr pub"), ["public.orders", "public.order_items"]);
        assert_eq!(left("ÜNÏ"), ["Ünïcode"]);
        assert!(left("zz").is_empty() && left("orders zz").is_empty());
    }
}
