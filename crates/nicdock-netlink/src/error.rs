/// Why bytes are not the netlink messages that they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("{what} at byte {offset} says it is {claimed} bytes long, but {available} are there")]
    Length { what: &'static str, offset: usize, claimed: usize, available: usize },
    #[error("attribute {attribute} has {found} bytes instead of {expected}")]
    AttributeSize { attribute: u16, expected: usize, found: usize },
    #[error("attribute {attribute} is not a text")]
    AttributeText { attribute: u16 },
    #[error("a message of type {message} lacks attribute {attribute}")]
    Missing { message: u16, attribute: u16 },
}

impl From<ParseError> for std::io::Error {
    fn from(error: ParseError) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}
