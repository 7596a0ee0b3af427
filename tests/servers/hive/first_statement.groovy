// Starts a HiveServer2 in this process, runs one statement over its port and ends: Java then writes down the classes
// that it read (-XX:ArchiveClassesAtExit), and servers that are started with them take half the time to begin.
// What the server writes goes below the folder that it is run in.
import org.apache.hadoop.hive.conf.HiveConf
import org.apache.hive.service.rpc.thrift.TCLIService
import org.apache.hive.service.rpc.thrift.TCloseSessionReq
import org.apache.hive.service.rpc.thrift.TExecuteStatementReq
import org.apache.hive.service.rpc.thrift.TFetchResultsReq
import org.apache.hive.service.rpc.thrift.TFetchOrientation
import org.apache.hive.service.rpc.thrift.TOpenSessionReq
import org.apache.hive.service.server.HiveServer2
import org.apache.thrift.protocol.TBinaryProtocol
import org.apache.thrift.transport.TSocket
import org.apache.thrift.transport.TTransportException

def folder = new File('.').canonicalPath
def port = new ServerSocket(0).withCloseable { it.localPort }
[
    'javax.jdo.option.ConnectionURL': 'jdbc:derby:memory:metastore;create=true',
    'datanucleus.schema.autoCreateAll': 'true',
    'hive.metastore.schema.verification': 'false',
    'hive.metastore.event.db.notification.api.auth': 'false',
    'hive.notification.event.poll.interval': '0s',
    'hive.metastore.warehouse.dir': "file://$folder/warehouse",
    'hive.metastore.warehouse.external.dir': "file://$folder/external",
    'hive.exec.scratchdir': "$folder/scratch",
    'hive.exec.local.scratchdir': "$folder/local",
    'hive.server2.logging.operation.log.location': "$folder/operations",
    'hive.server2.authentication': 'NOSASL',
    'hive.server2.thrift.port': port,
    'hive.server2.thrift.bind.host': '127.0.0.1',
    'hive.server2.webui.port': '0',
    'hive.server2.enable.doAs': 'false',
    'hive.server2.materializedviews.registry.impl': 'DUMMY',
    'hive.execution.engine': 'mr',
].each { name, value -> System.setProperty(name, value.toString()) }

def server = new HiveServer2()
server.init(new HiveConf())
server.start()
def link = null
while (link == null) {
    try {
        link = new TSocket('127.0.0.1', port)
        link.open()
    } catch (TTransportException ignored) {
        link = null
        sleep(50)
    }
}
def client = new TCLIService.Client(new TBinaryProtocol(link))
def session = client.OpenSession(new TOpenSessionReq()).sessionHandle
def operation = client.ExecuteStatement(new TExecuteStatementReq(session, "SELECT 'ready'")).operationHandle
def rows = client.FetchResults(new TFetchResultsReq(operation, TFetchOrientation.FETCH_NEXT, 10)).results
assert rows.columns[0].stringVal.values == ['ready']
// With something open it would wait before it ends.
client.CloseSession(new TCloseSessionReq(session))
System.exit(0)
