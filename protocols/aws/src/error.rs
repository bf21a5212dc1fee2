//! What goes wrong, as a type; its code, status and text in every encoding.
//!
//! Texts are AWS's to the letter: clients and tests compare them.

use crossdock_common::Refusal;

use crate::wire::Protocol;

/// Why a call was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    // SQS
    /// No such queue, or not this account's.
    NoQueue,
    /// GetQueueUrl: another account has no such queue, or it is not the caller's to know.
    NoQueueOrNoAccess,
    /// CreateQueue: it exists and this attribute is different.
    QueueExists(String),
    /// A parameter is missing.
    MissingParameter(&'static str),
    /// SQS `InvalidParameterValue` with its whole text.
    Invalid(String),
    /// An attribute that SQS does not know.
    UnknownAttribute(String),
    /// SQS `InvalidAttributeName` with its whole text.
    AttributeName(String),
    /// A value that the queue attribute cannot have.
    AttributeValue(String),
    /// SetQueueAttributes: a queue is a FIFO queue or not for good.
    QueueType,
    /// A body with characters that XML cannot carry.
    MessageContents,
    /// Not a receipt handle of this broker.
    ReceiptHandle,
    /// The message is not in flight any more.
    NotInflight,
    /// CreateQueue: it was deleted a moment ago.
    DeletedRecently,
    /// PurgeQueue: this queue was purged a moment ago.
    PurgeInProgress(String),
    /// SQS `OverLimit` with its whole text.
    OverLimit(String),
    /// SQS `ResourceNotFoundException` with its whole text.
    NoResource(String),
    /// A batch without entries.
    EmptyBatch,
    /// A batch of more than ten entries.
    BatchEntries(usize),
    /// Two entries have the same id.
    BatchIdRepeated(String),
    /// An entry's id is too long or has other characters.
    BatchId,
    /// A batch of too many bytes.
    BatchTooLong { max: usize, sent: usize },

    // SNS
    /// SNS `InvalidParameter`: the text after `Invalid parameter: `.
    SnsInvalid(String),
    /// SNS `InvalidParameter` with its whole text.
    SnsInvalidText(String),
    /// SNS `ParameterValueInvalid`.
    SnsParameterValue(String),
    /// SNS `ValidationError`.
    SnsValidation(String),
    /// SNS `NotFound`: `Topic` or `Subscription`.
    SnsNotFound(&'static str),
    /// SNS batch errors.
    SnsEmptyBatch,
    /// More than ten entries.
    SnsBatchEntries,
    /// Two entries have the same id.
    SnsBatchIdRepeated,
    /// An entry's id is wrong; the whole text.
    SnsBatchId(String),
    /// A batch of too many bytes.
    SnsBatchTooLong,
    /// Any other error of SNS.
    SnsOther {
        /// The HTTP status.
        status: u16,
        /// The code.
        code: &'static str,
        /// The whole text.
        text: String,
    },

    // All
    /// The action does not exist, or not here.
    UnknownAction(String),
    /// No action at all.
    MissingAction,
    /// The body cannot be read.
    Malformed(String),
    /// The body is over the limit.
    TooLarge,
    /// The user may not.
    AccessDenied(String),
    /// The user may not, in the words of the core.
    Refused(String),
    /// The request is not signed.
    NotSigned,
    /// An access key that is not known.
    UnknownKey,
    /// The signature is wrong; says why as far as that is no secret.
    Signature(String),
    /// The signature cannot be read.
    IncompleteSignature(String),
    /// Stop publishing for a while, or come back later.
    Unavailable(String),
    /// Somebody else has changed meanwhile what the request changes: it is carried out anew.
    Changed,
    /// A bug of ours.
    Internal,
}

/// How a failure looks in SQS's and SNS's XML, and in `x-amzn-query-error`.
struct Code {
    status: u16,
    query: &'static str,
    /// The shape in AWS JSON.
    json: &'static str,
}

impl Failure {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.code().status
    }

    /// The code in XML and in `x-amzn-query-error`.
    pub fn query_code(&self) -> &'static str {
        self.code().query
    }

    /// `__type` in AWS JSON.
    pub(crate) fn json_type(&self) -> &'static str {
        self.code().json
    }

    /// Who was wrong.
    pub(crate) fn blame(&self) -> &'static str {
        if self.status() >= 500 { "Receiver" } else { "Sender" }
    }

    /// The text, as `protocol` words it.
    pub(crate) fn text_for(&self, protocol: Protocol) -> String {
        match (self, protocol) {
            (Self::NoQueue, Protocol::Query) => "The specified queue does not exist for this wsdl version.".to_owned(),
            _ => self.text(),
        }
    }

    fn code(&self) -> Code {
        let code = |status, query, json| Code { status, query, json };
        match self {
            Self::NoQueue | Self::NoQueueOrNoAccess => {
                code(400, "AWS.SimpleQueueService.NonExistentQueue", "com.amazonaws.sqs#QueueDoesNotExist")
            }
            Self::QueueExists(_) => code(400, "QueueAlreadyExists", "com.amazonaws.sqs#QueueNameExists"),
            Self::MissingParameter(_) => {
                code(400, "MissingParameter", "com.amazon.coral.service#MissingRequiredParameterException")
            }
            Self::Invalid(_) => {
                code(400, "InvalidParameterValue", "com.amazon.coral.service#InvalidParameterValueException")
            }
            Self::UnknownAttribute(_) | Self::AttributeName(_) => {
                code(400, "InvalidAttributeName", "com.amazonaws.sqs#InvalidAttributeName")
            }
            Self::AttributeValue(_) | Self::QueueType => {
                code(400, "InvalidAttributeValue", "com.amazonaws.sqs#InvalidAttributeValue")
            }
            Self::MessageContents => code(400, "InvalidMessageContents", "com.amazonaws.sqs#InvalidMessageContents"),
            Self::ReceiptHandle => code(400, "ReceiptHandleIsInvalid", "com.amazonaws.sqs#ReceiptHandleIsInvalid"),
            Self::NotInflight => {
                code(400, "AWS.SimpleQueueService.MessageNotInflight", "com.amazonaws.sqs#MessageNotInflight")
            }
            Self::DeletedRecently => {
                code(400, "AWS.SimpleQueueService.QueueDeletedRecently", "com.amazonaws.sqs#QueueDeletedRecently")
            }
            Self::PurgeInProgress(_) => {
                code(403, "AWS.SimpleQueueService.PurgeQueueInProgress", "com.amazonaws.sqs#PurgeQueueInProgress")
            }
            Self::OverLimit(_) => code(403, "OverLimit", "com.amazonaws.sqs#OverLimit"),
            Self::NoResource(_) => {
                code(404, "ResourceNotFoundException", "com.amazonaws.sqs#ResourceNotFoundException")
            }
            Self::EmptyBatch => {
                code(400, "AWS.SimpleQueueService.EmptyBatchRequest", "com.amazonaws.sqs#EmptyBatchRequest")
            }
            Self::BatchEntries(_) => code(
                400,
                "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
                "com.amazonaws.sqs#TooManyEntriesInBatchRequest",
            ),
            Self::BatchIdRepeated(_) => code(
                400,
                "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
                "com.amazonaws.sqs#BatchEntryIdsNotDistinct",
            ),
            Self::BatchId => {
                code(400, "AWS.SimpleQueueService.InvalidBatchEntryId", "com.amazonaws.sqs#InvalidBatchEntryId")
            }
            Self::BatchTooLong { .. } => {
                code(400, "AWS.SimpleQueueService.BatchRequestTooLong", "com.amazonaws.sqs#BatchRequestTooLong")
            }
            other => other.other_code(),
        }
    }

    fn other_code(&self) -> Code {
        let code = |status, query, json| Code { status, query, json };
        match self {
            Self::SnsInvalid(_) | Self::SnsInvalidText(_) => code(400, "InvalidParameter", "InvalidParameter"),
            Self::SnsParameterValue(_) => code(400, "ParameterValueInvalid", "ParameterValueInvalid"),
            Self::SnsValidation(_) => code(400, "ValidationError", "ValidationError"),
            Self::SnsNotFound(_) => code(404, "NotFound", "NotFound"),
            Self::SnsEmptyBatch => code(400, "EmptyBatchRequest", "EmptyBatchRequest"),
            Self::SnsBatchEntries => code(400, "TooManyEntriesInBatchRequest", "TooManyEntriesInBatchRequest"),
            Self::SnsBatchIdRepeated => code(400, "BatchEntryIdsNotDistinct", "BatchEntryIdsNotDistinct"),
            Self::SnsBatchId(_) => code(400, "InvalidBatchEntryId", "InvalidBatchEntryId"),
            Self::SnsBatchTooLong => code(400, "BatchRequestTooLong", "BatchRequestTooLong"),
            Self::SnsOther { status, code: name, .. } => code(*status, name, name),
            Self::UnknownAction(_) => code(400, "InvalidAction", "com.amazon.coral.service#UnknownOperationException"),
            Self::MissingAction => code(400, "MissingAction", "com.amazon.coral.service#UnknownOperationException"),
            Self::Malformed(_) => code(400, "MalformedInput", "com.amazon.coral.service#SerializationException"),
            Self::TooLarge => {
                code(413, "RequestEntityTooLarge", "com.amazon.coral.service#RequestEntityTooLargeException")
            }
            Self::AccessDenied(_) | Self::Refused(_) => {
                code(403, "AccessDenied", "com.amazon.coral.service#AccessDeniedException")
            }
            Self::NotSigned => {
                code(403, "MissingAuthenticationToken", "com.amazon.coral.service#MissingAuthenticationTokenException")
            }
            Self::UnknownKey => {
                code(403, "InvalidClientTokenId", "com.amazon.coral.service#UnrecognizedClientException")
            }
            Self::Signature(_) => {
                code(403, "SignatureDoesNotMatch", "com.amazon.coral.service#InvalidSignatureException")
            }
            Self::IncompleteSignature(_) => {
                code(403, "IncompleteSignature", "com.amazon.coral.service#IncompleteSignatureException")
            }
            Self::Unavailable(_) | Self::Changed => {
                code(503, "ServiceUnavailable", "com.amazon.coral.service#ServiceUnavailableException")
            }
            _ => code(500, "InternalFailure", "com.amazon.coral.service#InternalFailure"),
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        match self {
            Self::NoQueue => "The specified queue does not exist.".to_owned(),
            Self::NoQueueOrNoAccess => "The specified queue does not exist or you do not have access to it.".to_owned(),
            Self::QueueExists(attribute) => {
                format!("A queue already exists with the same name and a different value for attribute {attribute}")
            }
            Self::MissingParameter(name) => format!("The request must contain the parameter {name}."),
            Self::UnknownAttribute(name) => format!("Unknown Attribute {name}."),
            Self::AttributeValue(name) => format!("Invalid value for the parameter {name}."),
            Self::QueueType => {
                "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.".to_owned()
            }
            Self::MessageContents => "Invalid binary character was found in the message body, the set of allowed \
                                      characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to \
                                      #x10FFFF"
                .to_owned(),
            Self::ReceiptHandle => "The input receipt handle is invalid.".to_owned(),
            Self::NotInflight => "The specified message isn't in flight.".to_owned(),
            Self::DeletedRecently => {
                "You must wait 60 seconds after deleting a queue before you can create another with \
                                      the same name."
                    .to_owned()
            }
            Self::PurgeInProgress(queue) => {
                format!("Only one PurgeQueue operation on {queue} is allowed every 60 seconds.")
            }
            Self::EmptyBatch => "There should be at least one entry in the request.".to_owned(),
            Self::BatchEntries(count) => {
                format!("Maximum number of entries per request are 10. You have sent {count}.")
            }
            Self::BatchIdRepeated(id) => format!("Id {id} repeated."),
            Self::BatchId => {
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can \
                              be at most 80 letters long."
                    .to_owned()
            }
            Self::BatchTooLong { max, sent } => {
                format!("Batch requests cannot be longer than {max} bytes. You have sent {sent} bytes.")
            }
            other => other.other_text(),
        }
    }

    fn other_text(&self) -> String {
        let fixed = match self {
            Self::SnsInvalid(reason) => return format!("Invalid parameter: {reason}"),
            Self::SnsNotFound(what) => return format!("{what} does not exist"),
            Self::UnknownAction(action) => {
                return format!("The action {action} is not valid for this endpoint.");
            }
            Self::Invalid(text)
            | Self::OverLimit(text)
            | Self::NoResource(text)
            | Self::AttributeName(text)
            | Self::SnsInvalidText(text)
            | Self::SnsParameterValue(text)
            | Self::SnsValidation(text)
            | Self::SnsBatchId(text)
            | Self::SnsOther { text, .. }
            | Self::Malformed(text)
            | Self::AccessDenied(text)
            | Self::Refused(text)
            | Self::Signature(text)
            | Self::IncompleteSignature(text)
            | Self::Unavailable(text) => return text.clone(),
            Self::Changed => "Other requests change the same all the time.",
            Self::SnsEmptyBatch => "The batch request doesn't contain any entries.",
            Self::SnsBatchEntries => "The batch request contains more entries than permissible.",
            Self::SnsBatchIdRepeated => "Two or more batch entries in the request have the same Id.",
            Self::SnsBatchTooLong => "The length of all the messages put together is more than the limit.",
            Self::MissingAction => "Could not find operation to perform.",
            Self::TooLarge => "The request is larger than this endpoint takes.",
            Self::NotSigned => "Request is missing Authentication Token",
            Self::UnknownKey => "The security token included in the request is invalid.",
            _ => "The request processing has failed because of an unknown error, exception or failure.",
        };
        fixed.to_owned()
    }

    /// `Value 11 for parameter MaxNumberOfMessages is invalid. Reason: …`
    pub(crate) fn value(value: impl std::fmt::Display, parameter: &str, reason: &str) -> Self {
        Self::Invalid(format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}"))
    }

    /// `One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.`
    pub(crate) fn message_too_long(max: usize) -> Self {
        Self::Invalid(format!("One or more parameters are invalid. Reason: Message must be shorter than {max} bytes."))
    }

    /// An error of SNS that has no variant of its own.
    pub(crate) fn sns(status: u16, code: &'static str, text: impl Into<String>) -> Self {
        Self::SnsOther { status, code, text: text.into() }
    }

    /// A refusal of the core about a queue.
    pub(crate) fn of_queue(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound { .. } | Refusal::ResourceLocked { .. } => Self::NoQueue,
            Refusal::UnknownDelivery(_) => Self::NotInflight,
            Refusal::Invalid(text) | Refusal::PreconditionFailed(text) | Refusal::NotImplemented(text) => {
                Self::Invalid(text)
            }
            other => Self::of_any(other),
        }
    }

    /// A refusal of the core about a topic.
    pub(crate) fn of_topic(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound { .. } => Self::SnsNotFound("Topic"),
            Refusal::Invalid(text) | Refusal::PreconditionFailed(text) => Self::SnsInvalid(text),
            other => Self::of_any(other),
        }
    }

    fn of_any(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Changed => Self::Changed,
            Refusal::Unavailable(_) | Refusal::LimitReached(_) => Self::Unavailable(refusal.to_string()),
            Refusal::InvalidCredentials => Self::UnknownKey,
            refusal => Self::Refused(refusal.to_string()),
        }
    }
}
