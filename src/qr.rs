//! Draws QR codes as SVG, here on this machine: what a code says goes to nobody. Knows nothing of scenes or WeChat.

use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

/// On paper it should be read when a corner is worn: a quarter of it may be unreadable.
const LEVEL: EcLevel = EcLevel::Q;
/// SVG has no size of its own; this is what a page shows where it says nothing else.
const PIXELS: u32 = 480;

/// A picture of a code that says `text`, with the empty border readers need; `None` when the text is too long for one.
pub fn svg(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, LEVEL).ok()?;
    Some(code.render::<svg::Color<'_>>().min_dimensions(PIXELS, PIXELS).quiet_zone(true).build())
}

#[cfg(test)]
mod tests {
    use super::svg;

    #[test]
    fn what_fits_is_drawn_and_what_does_not_is_not() {
        let picture = svg("http://weixin.qq.com/q/02fake").unwrap();
        assert!(picture.contains("<svg") && picture.ends_with("</svg>"), "{picture}");
        assert_eq!(svg(&"长".repeat(2000)), None);
    }
}
