"""What models of mmdet and mmseg see in an image, to train restorers by."""
