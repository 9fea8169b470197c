// Starts Swagger UI over this service's own contract, and says its words in Chinese where the page is Chinese.
"use strict";
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  filter: true,
  validatorUrl: null,
});
if (document.documentElement.lang.startsWith("zh")) {
  const words = {
    "Authorize": "授权", "Available authorizations": "可用的认证方式", "Close": "关闭", "Logout": "清除",
    "Value:": "取值：", "Name:": "名称：", "In:": "位置：", "Flow:": "流程：", "Token URL:": "令牌地址：",
    "Try it out": "试一试", "Cancel": "取消", "Reset": "重置", "Execute": "发送", "Clear": "清空",
    "Parameters": "参数", "No parameters": "没有参数", "Name": "名称", "Description": "说明",
    "Request body": "请求体", "Responses": "应答", "Response": "应答", "Server response": "服务器应答",
    "Response body": "应答内容", "Response headers": "应答头", "Request URL": "请求网址", "Code": "状态码",
    "Details": "详情", "Links": "链接", "No links": "没有链接", "Media type": "媒体类型", "Example Value": "示例",
    "Schema": "结构", "Schemas": "数据结构", "Download": "下载", "Request duration": "用时", "required": "必填",
    "Filter by tag": "按分类筛选", "Controls Accept header.": "决定请求头 Accept。",
    "Available values": "可选值", "Default value": "缺省值", "Loading...": "正在载入……",
  };
  const say = (node) => {
    const found = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
    for (let text = found.nextNode(); text; text = found.nextNode()) {
      const word = words[text.data.trim()];
      if (word && !text.parentElement.closest("pre, code, textarea")) text.data = word;
    }
  };
  const field = () => {
    const one = document.querySelector(".operation-filter-input");
    if (one && one.placeholder !== words["Filter by tag"]) one.placeholder = words["Filter by tag"];
  };
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "characterData") say(change.target.parentNode || change.target);
      for (const node of change.addedNodes) say(node.nodeType === Node.TEXT_NODE ? node.parentNode || node : node);
    }
    field();
  }).observe(document.getElementById("page"), { childList: true, subtree: true, characterData: true });
}
