"""Learned JPEG artifact removal for detectors and segmenters."""
