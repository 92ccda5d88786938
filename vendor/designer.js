export * from "sequential-workflow-designer";
