//! How good a ranking with probabilities is, in the field's usual figures. Knows numbers only.

use serde::Serialize;

/// What came of one question: the place of the first right document (from 0), and how sure the first one was.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// `None`: no right one among the candidates, or there is none at all.
    pub place: Option<usize>,
    /// Something answers it.
    pub answerable: bool,
    /// The probability of the first candidate.
    pub score: f32,
}

/// The figures of one set.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// Questions that something answers.
    pub n: usize,
    /// Share with a right document first, among the first three, the first ten.
    pub r1: f64,
    /// See `r1`.
    pub r3: f64,
    /// See `r1`.
    pub r10: f64,
    /// Mean of 1 / place, over the first ten places.
    pub mrr: f64,
    /// How well the score tells the questions that something answers from those of the same world that nothing answers.
    pub auroc_near: Option<f64>,
    /// The same against questions of another world.
    pub auroc_far: Option<f64>,
    /// Share of all questions that would be answered.
    pub answered: f64,
    /// Share of the answered ones whose answer is right.
    pub right_when_answered: Option<f64>,
    /// Of ten bands of probability: how many first candidates fall there, and the share that is right.
    pub reliability: Vec<(usize, f64)>,
    /// Of ten bands: how many first candidates are right, and wrong.
    pub histogram: Vec<(usize, usize)>,
}

/// The figures of these outcomes; `far` are scores of questions of another world, `answer` is the threshold.
pub fn figures(outcomes: &[Outcome], far: &[f32], answer: f32) -> Figures {
    let answerable: Vec<&Outcome> = outcomes.iter().filter(|o| o.answerable).collect();
    let n = answerable.len().max(1) as f64;
    let within = |k: usize| answerable.iter().filter(|o| o.place.is_some_and(|p| p < k)).count() as f64 / n;
    let reciprocal = |o: &&Outcome| o.place.filter(|p| *p < 10).map_or(0.0, |p| 1.0 / (p + 1) as f64);
    let scores = |keep: bool| -> Vec<f32> {
        outcomes.iter().filter(|o| o.answerable == keep).map(|o| o.score).collect()
    };
    let (good, near) = (scores(true), scores(false));
    let told: Vec<&Outcome> = outcomes.iter().filter(|o| o.score >= answer).collect();
    let n_right = told.iter().filter(|o| o.place == Some(0)).count();
    let mut histogram = vec![(0, 0); 10];
    for outcome in outcomes {
        let band = &mut histogram[((outcome.score * 10.0) as usize).min(9)];
        if outcome.place == Some(0) { band.0 += 1 } else { band.1 += 1 }
    }
    let share = |(right, wrong): &(usize, usize)| {
        let n = right + wrong;
        (n, if n == 0 { 0.0 } else { *right as f64 / n as f64 })
    };
    Figures {
        n: answerable.len(),
        r1: within(1),
        r3: within(3),
        r10: within(10),
        mrr: answerable.iter().map(reciprocal).sum::<f64>() / n,
        auroc_near: auroc(&good, &near),
        auroc_far: auroc(&good, far),
        answered: told.len() as f64 / outcomes.len().max(1) as f64,
        right_when_answered: (!told.is_empty()).then(|| n_right as f64 / told.len() as f64),
        reliability: histogram.iter().map(share).collect(),
        histogram,
    }
}

/// The chance that a good one scores higher than a bad one; ties count half.
pub fn auroc(good: &[f32], bad: &[f32]) -> Option<f64> {
    if good.is_empty() || bad.is_empty() {
        return None;
    }
    let mut all: Vec<(f32, bool)> =
        good.iter().map(|s| (*s, true)).chain(bad.iter().map(|s| (*s, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut at) = (0.0, 0);
    while at < all.len() {
        let end = at + all[at..].iter().take_while(|(score, _)| *score == all[at].0).count();
        let mean_rank = (at + end + 1) as f64 / 2.0;
        rank_sum += mean_rank * all[at..end].iter().filter(|(_, good)| *good).count() as f64;
        at = end;
    }
    let (n_good, n_bad) = (good.len() as f64, bad.len() as f64);
    Some((rank_sum - n_good * (n_good + 1.0) / 2.0) / (n_good * n_bad))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_and_a_useless_score_have_the_auroc_they_should() {
        assert_eq!(auroc(&[0.9, 0.8], &[0.1, 0.2]), Some(1.0));
        assert_eq!(auroc(&[0.5, 0.5], &[0.5]), Some(0.5));
        assert_eq!(auroc(&[0.1], &[0.9]), Some(0.0));
        assert_eq!(auroc(&[], &[0.9]), None);
    }

    #[test]
    fn places_and_answers_are_counted() {
        let outcome = |place, answerable, score| Outcome { place, answerable, score };
        let outcomes = [
            outcome(Some(0), true, 0.95),
            outcome(Some(2), true, 0.4),
            outcome(None, true, 0.9),
            outcome(None, false, 0.2),
        ];
        let f = figures(&outcomes, &[], 0.7);
        assert_eq!((f.n, f.answered, f.right_when_answered), (3, 0.5, Some(0.5)));
        assert!((f.r1 - 1.0 / 3.0).abs() < 1e-9 && (f.r3 - 2.0 / 3.0).abs() < 1e-9);
        assert!((f.mrr - (1.0 + 1.0 / 3.0) / 3.0).abs() < 1e-9);
        assert_eq!(f.histogram[9], (1, 1));
        assert_eq!(f.reliability[9], (2, 0.5));
    }
}
