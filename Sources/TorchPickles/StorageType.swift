import Tensors

/// torch's names of number formats.
enum StorageType {
  /// The format of a storage's class, or of a tensor on a storage that has none.
  static func dtype(_ name: String) -> DType? { dtypes[name] }

  /// Whether a storage is counted in bytes and its tensors say what is in it.
  static func isUntyped(_ name: String) -> Bool { name == "UntypedStorage" }

  /// The bytes of one element; 1 for storages without a class of their own, which are counted in bytes.
  static func elementSize(_ name: String) -> Int { dtype(name).map { $0.bits / 8 } ?? unreadSizes[name] ?? 1 }

  /// Of formats that are not read.
  private static let unreadSizes = [
    "ComplexHalfStorage": 4, "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16, "QInt32Storage": 4,
  ]

  private static let dtypes: [String: DType] = [
    "FloatStorage": .f32, "HalfStorage": .f16, "BFloat16Storage": .bf16, "DoubleStorage": .f64, "IntStorage": .i32,
    "LongStorage": .i64, "ShortStorage": .i16, "CharStorage": .i8, "ByteStorage": .u8, "BoolStorage": .bool,
    "float8_e4m3fn": .f8e4m3, "float8_e5m2": .f8e5m2, "float8_e4m3fnuz": .f8e4m3fnuz, "float8_e5m2fnuz": .f8e5m2fnuz,
    "float8_e8m0fnu": .f8e8m0, "uint16": .u16, "uint32": .u32, "uint64": .u64,
  ]
}
