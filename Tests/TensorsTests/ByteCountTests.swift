import Tensors
import Testing

/// Proves that sizes are read from the command line and written for people as the help text says.
@Suite struct ByteCountTests {
  @Test(
    "decimal and binary units are told apart, in any case, with or without a space",
    arguments: [
      ("20MB", 20_000_000), ("20MiB", 20_971_520), ("20 MB", 20_000_000), ("20mb", 20_000_000),
      ("1.5GB", 1_500_000_000),
      ("700kB", 700_000), ("1KiB", 1024), ("2GiB", 2_147_483_648), ("123", 123), ("123 B", 123), ("1", 1),
      ("0.5kB", 500),
      ("3k", 3000), ("3M", 3_000_000), ("3g", 3_000_000_000), ("1.9999", 1),
    ])
  func parsing(text: String, bytes: Int) { #expect(ByteCount(text)?.bytes == bytes) }

  @Test(
    "anything else is no size",
    arguments: [
      "", "MB", "-5MB", "20XB", "1.2.3MB", "0", "0.9", "0MB", "20MB/s", "nan", "inf", "1e3", "٣MB", "5000000000GB",
      "20 MB MB", ".",
    ])
  func refused(text: String) { #expect(ByteCount(text) == nil) }

  @Test(
    "a size is written with three significant digits and decimal units",
    arguments: [
      (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (1234, "1.23 kB"), (9_994, "9.99 kB"), (9_996, "10.0 kB"),
      (12_345, "12.3 kB"), (99_940, "99.9 kB"), (99_960, "100 kB"), (999_499, "999 kB"), (999_500, "1.00 MB"),
      (21_300_000, "21.3 MB"), (2_500_000_000, "2.50 GB"), (7_000_000_000_000, "7.00 TB"),
      (7_000_000_000_000_000, "7000 TB"),
    ])
  func description(bytes: Int, text: String) { #expect("\(ByteCount(bytes))" == text) }

  @Test("sizes are ordered by their bytes")
  func order() { #expect(ByteCount(999) < ByteCount(1000) && !(ByteCount(5) < ByteCount(5))) }
}
