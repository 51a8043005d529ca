/// The version of Lathe, as `lathe --version` prints it and outputs carry it.
public enum ToolVersion {
  /// Three numbers with dots, as semantic versioning has them.
  public static let current = "0.1.0"
}
