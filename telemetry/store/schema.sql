-- Signals, one table a kind. Hourly partitions, so that a live page reads one or two of them and
-- retention drops whole ones; sorted by what pages filter on. Ids are raw bytes, half the width of
-- hexadecimal. Non-replicated deduplication makes the replay of a spool file safe: each insert
-- carries the file's name as its token.

CREATE TABLE IF NOT EXISTS spans (
    Timestamp DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    TraceId FixedString(16) CODEC(ZSTD(1)),
    SpanId FixedString(8) CODEC(ZSTD(1)),
    ParentSpanId FixedString(8) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String),
    Node LowCardinality(String),
    SpanName LowCardinality(String),
    SpanKind UInt8,
    DurationNs UInt64 CODEC(ZSTD(1)),
    StatusCode UInt8,
    StatusMessage String CODEC(ZSTD(1)),
    Reason LowCardinality(String),
    Weight Float32 CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Links Array(String) CODEC(ZSTD(1)),
    Events Array(String) CODEC(ZSTD(1)),
    INDEX by_trace TraceId TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toStartOfHour(Timestamp)
ORDER BY (ServiceName, SpanName, Timestamp)
SETTINGS non_replicated_deduplication_window = 1000, ratio_of_defaults_for_sparse_serialization = 0.9;

CREATE TABLE IF NOT EXISTS metrics (
    Timestamp DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    MetricName LowCardinality(String),
    ServiceName LowCardinality(String),
    Node LowCardinality(String),
    Shape LowCardinality(String),
    Unit LowCardinality(String),
    Temporality UInt8,
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Value Float64 CODEC(ZSTD(1)),
    Count UInt64 CODEC(ZSTD(1)),
    Scale Int8,
    ZeroCount UInt64 CODEC(ZSTD(1)),
    BucketOffset Int32 CODEC(ZSTD(1)),
    BucketCounts Array(UInt64) CODEC(ZSTD(1)),
    Bounds Array(Float64) CODEC(ZSTD(1)),
    ExemplarTraceIds Array(FixedString(16)) CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toStartOfHour(Timestamp)
ORDER BY (MetricName, ServiceName, Node, Timestamp)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS logs (
    Timestamp DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    TraceId FixedString(16) CODEC(ZSTD(1)),
    SpanId FixedString(8) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String),
    Node LowCardinality(String),
    Severity UInt8,
    SeverityText LowCardinality(String),
    Body String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    INDEX by_trace TraceId TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = MergeTree
PARTITION BY toStartOfHour(Timestamp)
ORDER BY (ServiceName, Timestamp)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS profiles (
    Id String,
    Timestamp DateTime64(3, 'UTC'),
    Target LowCardinality(String),
    Seconds Float64,
    RateHz UInt32,
    Samples UInt64,
    PausePercent Float64,
    Details String CODEC(ZSTD(1)),
    Collapsed String CODEC(ZSTD(3))
) ENGINE = MergeTree
PARTITION BY toStartOfDay(Timestamp)
ORDER BY (Timestamp, Id)
SETTINGS non_replicated_deduplication_window = 1000
