//! What is wrong is said once, and again only after it was over or has changed.
//!
//! Owns what stands. Knows nothing of what it is, and says nothing itself.

/// What of one kind stands, and was said.
#[derive(Debug)]
pub struct Once<T> {
    standing: Vec<T>,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self {
            standing: Vec::new(),
        }
    }
}

impl<T: Clone + PartialEq> Once<T> {
    /// What is news of all that stands now; what no longer stands is news when it comes back.
    pub fn news(&mut self, standing: Vec<T>) -> Vec<T> {
        let mut news = standing.clone();
        news.retain(|one| !self.standing.contains(one));
        self.standing = standing;
        news
    }

    /// Whether this, which stands alone, is news.
    pub fn is_news(&mut self, what: T) -> bool {
        !self.news(vec![what]).is_empty()
    }

    /// Whether anything stands.
    pub fn stands(&self) -> bool {
        !self.standing.is_empty()
    }

    /// Nothing stands any more.
    pub fn over(&mut self) {
        self.standing.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_is_news_once_and_again_after_it_was_over() {
        let mut disk = Once::default();
        assert!(disk.is_news("full"));
        assert!(!disk.is_news("full"));
        assert!(disk.stands());
        disk.over();
        assert!(!disk.stands());
        assert!(disk.is_news("full"));
    }

    #[test]
    fn what_changed_is_news() {
        let mut disk = Once::default();
        assert!(disk.is_news("full"));
        assert!(disk.is_news("gone"));
        assert!(disk.is_news("full"));
    }

    #[test]
    fn of_several_only_those_are_news_that_did_not_stand_before() {
        let mut warnings = Once::default();
        assert_eq!(warnings.news(vec!["a", "b"]), ["a", "b"]);
        assert_eq!(warnings.news(vec!["c", "b"]), ["c"]);
        assert_eq!(warnings.news(vec!["a", "b"]), ["a"]);
        assert!(warnings.news(Vec::new()).is_empty());
        assert_eq!(warnings.news(vec!["b"]), ["b"]);
    }
}
