%% Stands in for EMQX's: the processes of clients, also those of other nodes.
-module(emqx_cm).

-export([start/0, register_channel/2, unregister_channel/2, lookup_channels/1, lookup_channels/2, channels_here/1]).
-export([all_client_ids/0, get_chan_info/2]).

start() ->
    ets:new(?MODULE, [named_table, public, ordered_set]),
    ok.

register_channel(ClientId, Pid) -> ets:insert(?MODULE, {{ClientId, Pid}}).

unregister_channel(ClientId, Pid) -> ets:delete(?MODULE, {ClientId, Pid}).

%% What all nodes know comes late to some of them.
lookup_channels(ClientId) ->
    case emqx_stand_ins:get(is_registry_late, false) of
        true -> [];
        false -> lookup_channels(global, ClientId)
    end.

lookup_channels(local, ClientId) ->
    channels_here(ClientId);
lookup_channels(global, ClientId) ->
    Elsewhere = [Pids || {ok, Pids} <- erpc:multicall(nodes(connected), ?MODULE, channels_here, [ClientId])],
    lists:append([channels_here(ClientId) | Elsewhere]).

channels_here(ClientId) -> [Pid || {{Id, Pid}} <- ets:tab2list(?MODULE), Id =:= ClientId].

all_client_ids() -> lists:usort([Id || {{Id, _}} <- ets:tab2list(?MODULE)]).

get_chan_info(_ClientId, Pid) when Pid =:= self() -> omp_client:info_of_self().
