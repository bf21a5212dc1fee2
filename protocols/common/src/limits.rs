//! Named limits (DESIGN section 6). Everything that a peer can make grow is bounded by one of these.

/// The limits a protocol machine keeps. Defaults are the documented ones; the configuration's `limits.*` sets each.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Time from accept to the end of the protocol's handshake, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// Largest frame or packet before authentication.
    pub first_frame_bytes_max: usize,
    /// Largest AMQP frame, negotiated downwards.
    pub frame_bytes_max: usize,
    /// Largest message body.
    pub message_bytes_max: usize,
    /// Heart-beat or keep-alive proposed by the broker, in milliseconds; 0 means none.
    pub heartbeat_ms: u64,
    /// Most channels of one connection.
    pub channels_max: u16,
    /// Deepest nesting of a field table.
    pub table_depth_max: usize,
    /// Most entries of one message's header tables, nested ones included.
    pub table_entries_max: usize,
    /// Most bytes of a message's header section.
    pub header_bytes_max: usize,
    /// Most levels of a topic name or filter.
    pub topic_levels_max: usize,
    /// Most consumers or subscriptions of one connection.
    pub consumers_max: usize,
    /// Most unsettled messages that a connection may hold in either direction.
    pub unsettled_max: usize,
    /// How long a delivery may stay unsettled where its queue does not say, in milliseconds; 0 means for ever.
    pub consumer_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout_ms: 10_000,
            first_frame_bytes_max: 8_192,
            frame_bytes_max: 131_072,
            message_bytes_max: 16 << 20,
            heartbeat_ms: 60_000,
            channels_max: 2_047,
            table_depth_max: 32,
            table_entries_max: 1_024,
            header_bytes_max: 64 << 10,
            topic_levels_max: 128,
            consumers_max: 10_000,
            unsettled_max: 1 << 20,
            consumer_timeout_ms: 1_800_000,
        }
    }
}
