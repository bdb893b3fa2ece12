"""Models of mmdet and mmseg, measured on their own test sets."""
